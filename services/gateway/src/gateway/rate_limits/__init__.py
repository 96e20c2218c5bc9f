"""Rate limits: token buckets per client address, user and e-mail address."""
