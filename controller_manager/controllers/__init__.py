"""The controllers, by area. Each is a stranger to all others: they meet only through API objects."""
