"""A mail server that delivers to a web page: SMTP in, Mailpit's JSON API and a page out."""
