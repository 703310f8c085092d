"""The only Flask: webhooks in, health and metrics, tokens for runners."""
