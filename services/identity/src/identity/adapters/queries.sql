-- SQL statements of the user repository. Each is loaded by its name.

-- name: get_user
-- Read a user by id (primary key).
SELECT id, email, name, password_hash, roles, created_at, version
FROM identity.users
WHERE id = $1

-- name: find_user
-- Read a user by address, in its stored form (users_email_key).
SELECT id, email, name, password_hash, roles, created_at, version
FROM identity.users
WHERE email = $1

-- name: add_user
-- Store a new user unless the address is taken. Waits for a concurrent insert of the address.
INSERT INTO identity.users (id, email, name, password_hash, roles, created_at, updated_at, version)
VALUES ($1, $2, $3, $4, $5, $6, $6, $7)
ON CONFLICT (email) DO NOTHING
RETURNING id

-- name: lock_user_and_admins
-- Lock a user and all admins, in id order so that two transactions cannot deadlock
-- (users_pkey and users_admin_idx). A user who lost the role during the wait is left out:
-- PostgreSQL checks the condition again on the row that it finally locks.
SELECT id, email, name, password_hash, roles, created_at, version
FROM identity.users
WHERE id = $1 OR 'admin' = ANY (roles)
ORDER BY id
FOR UPDATE

-- name: save_roles
-- Store new roles of a locked user.
UPDATE identity.users
SET roles = $2, version = $3, updated_at = now()
WHERE id = $1
