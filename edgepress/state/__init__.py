"""What a stage's result depends on besides its data: code, tools, and the user's own files."""
