"""What a run would do now, and how long that takes, before it starts."""
