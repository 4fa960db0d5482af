"""A self-hosted phone-number service that speaks the Amazon Chime API."""
