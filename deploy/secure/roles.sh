#!/usr/bin/env bash
# Run once, when the database is made. `alerts` owns its schema, since it brings it up to date itself, and nothing else.
set -eu
psql --set ON_ERROR_STOP=1 --username postgres --dbname postgres --set password="$(cat /run/secrets/alerts-database.password)" <<'SQL'
CREATE ROLE alerts LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 100 PASSWORD :'password';
REVOKE ALL ON DATABASE alerts, postgres, template1 FROM PUBLIC;
GRANT CONNECT ON DATABASE alerts TO alerts;
\connect alerts
REVOKE ALL ON SCHEMA public FROM PUBLIC;
CREATE SCHEMA alerts AUTHORIZATION alerts;
ALTER ROLE alerts IN DATABASE alerts SET search_path = alerts;
SQL
