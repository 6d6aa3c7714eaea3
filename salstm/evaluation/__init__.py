"""From predictions to scores: metrics, scopes, conventions."""
