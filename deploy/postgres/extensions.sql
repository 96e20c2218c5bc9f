-- Extensions of the database, run by a superuser before the first service.sql:
--   psql -v ON_ERROR_STOP=1 -d goticket -f extensions.sql
-- Running it again changes nothing.
-- Two of these scripts may run at once; the statements below would conflict. The lock ends with the
-- session.
SELECT pg_advisory_lock(hashtext('goticket.bootstrap'));
REVOKE ALL ON SCHEMA public FROM PUBLIC;
CREATE SCHEMA IF NOT EXISTS extensions;
GRANT USAGE ON SCHEMA extensions TO PUBLIC;
CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA extensions;
CREATE EXTENSION IF NOT EXISTS unaccent SCHEMA extensions;
