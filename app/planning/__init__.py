"""PRD Markdown into context and waves (pure)."""
