"""The processes of the web app: supervised side by side, or each by itself."""
