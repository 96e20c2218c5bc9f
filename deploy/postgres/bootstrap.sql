-- Roles, schemas and extensions of the one database, run by a superuser once, and again
-- before the migrations of a release that adds to it:
--   psql -v ON_ERROR_STOP=1 -v identity_password=... -v catalog_password=... \
--        -v booking_password=... -v notification_password=... -d goticket -f bootstrap.sql
-- Each service's role owns the schema of its name and can reach no other.
-- Running it again changes nothing but the passwords.
SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['identity', 'catalog', 'booking', 'notification']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec
ALTER ROLE identity PASSWORD :'identity_password';
ALTER ROLE catalog PASSWORD :'catalog_password';
ALTER ROLE booking PASSWORD :'booking_password';
ALTER ROLE notification PASSWORD :'notification_password';

REVOKE ALL ON SCHEMA public FROM PUBLIC;
CREATE SCHEMA IF NOT EXISTS extensions;
GRANT USAGE ON SCHEMA extensions TO PUBLIC;
CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA extensions;
CREATE EXTENSION IF NOT EXISTS unaccent SCHEMA extensions;

SELECT format('CREATE SCHEMA IF NOT EXISTS %1$I AUTHORIZATION %1$I', name)
FROM unnest(ARRAY['identity', 'catalog', 'booking', 'notification']) AS name
\gexec
SELECT format('ALTER ROLE %1$I SET search_path = %1$I, extensions', name)
FROM unnest(ARRAY['identity', 'catalog', 'booking', 'notification']) AS name
\gexec
