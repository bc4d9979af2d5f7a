"""What a changed pack would change today: decided in a room of its own, nothing is sent."""
