-- The image of PostgreSQL runs this file once, when the volume is new. It creates the database of participation, and
-- a role for it that is no superuser. Afterwards the superuser can log in only inside the container, without a password.
\getenv password POSTGRES_PASSWORD
CREATE ROLE participation LOGIN PASSWORD :'password';
CREATE DATABASE participation OWNER participation;
REVOKE ALL ON DATABASE participation FROM PUBLIC;
ALTER ROLE postgres PASSWORD NULL;
