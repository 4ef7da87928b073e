"""The wire protocols every provider shares: connecting, signing in, OAuth 2.0, IMAP and SMTP.
They know no provider by name; differences arrive as a `ProviderSpec` and its quirks."""
