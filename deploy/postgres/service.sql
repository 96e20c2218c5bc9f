-- Role and schema of one service, run by a superuser once for each service.toml that has a
-- [database], and again before the migrations of a release that adds to it:
--   psql -v ON_ERROR_STOP=1 -v schema=booking -v role=booking -v password=... \
--        -d goticket -f service.sql
-- The role owns its schema and can use no other service's schema.
-- Running it again changes only the password.
-- Two of these scripts may run at once; the statements below would conflict. The lock ends with the
-- session.
SELECT pg_advisory_lock(hashtext('goticket.bootstrap'));
SELECT format('CREATE ROLE %I LOGIN', :'role')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role')
\gexec
ALTER ROLE :"role" PASSWORD :'password';
CREATE SCHEMA IF NOT EXISTS :"schema" AUTHORIZATION :"role";
ALTER ROLE :"role" SET search_path = :"schema", extensions;
