"""Secrets as shells, tables and command lines print them."""

from __future__ import annotations

import pytest

from workflowexecution.domain import redaction

B = redaction.BLANK


@pytest.mark.parametrize(
    ("given", "redacted"),
    [
        pytest.param(
            f"  A_LONG_NAME:{' ' * 40}10\n  DB_TOKEN:{' ' * 43}s3cr3t\n",
            f"  A_LONG_NAME:{' ' * 40}10\n  DB_TOKEN:{' ' * 43}{B}\n",
            id="column-of-describe",
        ),
        pytest.param("  DB_TOKEN:   a&b,c;d e\n", f"  DB_TOKEN:   {B} e\n", id="column-of-signs"),
        pytest.param(f"token{' ' * 20}: s3cr3t", f"token{' ' * 20}: {B}", id="column-before"),
        pytest.param(f"token ={' ' * 300}s3cr3t", f"token ={' ' * 300}s3cr3t", id="far-away"),
        pytest.param(
            'Authorization:   Digest a="b", c="s3 cr"\nx', f"Authorization:   {B}\nx", id="header"
        ),
        pytest.param("token:\n  s3cr3t", f"token:\n  {B}", id="next-line"),
        pytest.param("token:\n- s3cr3t\n", f"token:\n- {B}\n", id="list-of-lines"),
        pytest.param("token:\n  value: s3cr3t\n", f"token:\n  value: {B}\n", id="member"),
        pytest.param("auth:\n  password: X", f"auth:\n  password: {B}", id="member-below"),
        pytest.param(
            'auth:\n    rootPassword: "X"\n', f"auth:\n    rootPassword: {B}\n", id="quoted-below"
        ),
        pytest.param(
            'auth:\n  "password": X\n', f'auth:\n  "password": {B}\n', id="member-in-quotes"
        ),
        pytest.param(
            "secrets:\n- API_KEY: X\n", f"secrets:\n- API_KEY: {B}\n", id="member-of-a-list"
        ),
        pytest.param("token:\n  ab:cd", f"token:\n  {B}", id="colon-below"),
        pytest.param(
            "TOKEN:  <set to the key 'a' in secret 'b'>",
            "TOKEN:  <set to the key 'a' in secret 'b'>",
            id="reference",
        ),
        pytest.param(
            "TOKEN: <set to the key 'a' in secret 'b'>",
            "TOKEN: <set to the key 'a' in secret 'b'>",
            id="reference-behind-one-space",
        ),
    ],
)
def test_a_value_is_blanked_however_far_it_stands_from_its_name(given: str, redacted: str) -> None:
    assert redaction.redact(given) == redacted


@pytest.mark.parametrize(
    ("given", "redacted"),
    [
        pytest.param(
            "    --listen\n    --db-token\n    s3cr3t x\n    -v\n",
            f"    --listen\n    --db-token\n    {B}\n    -v\n",
            id="arguments-of-describe",
        ),
        pytest.param("- --token\n- s3cr3t\n- -v\n", f"- --token\n- {B}\n- -v\n", id="yaml-list"),
        pytest.param(
            '  - "--token"\n  - "s3 cr"\n', f'  - "--token"\n  - {B}\n', id="quoted-yaml-list"
        ),
    ],
)
def test_the_value_of_a_flag_is_blanked_in_the_line_below(given: str, redacted: str) -> None:
    assert redaction.redact(given) == redacted


@pytest.mark.parametrize(
    "harmless",
    [
        "Usage: tool --password\n  --user string\n",
        "Usage:\n  --password\n  --user string\n",
        "  -token\n    \tthe token\n",
        "  --token\n  is required\n",
        "unknown flag: --token\nFATAL: disk full\n",
        "    --token\nFATAL: disk full\n",
        "- --token\n\nFATAL: disk full\n",
    ],
)
def test_a_line_below_a_flag_stays_when_it_is_another_sentence(harmless: str) -> None:
    assert redaction.redact(harmless) == harmless


@pytest.mark.parametrize(
    ("given", "redacted"),
    [
        pytest.param("+ DB_TOKEN='ab'\\''c;d e'\n+ x", f"+ DB_TOKEN={B}\n+ x", id="bash"),
        pytest.param("+ DB_TOKEN='ab'\"'\"'c d'\n+ x", f"+ DB_TOKEN={B}\n+ x", id="busybox"),
        pytest.param("++ db_token=a&b,c\n+ x", f"++ db_token={B}\n+ x", id="small-letters"),
        pytest.param("+ PGPASSWORD=a,b psql", f"+ PGPASSWORD={B} psql", id="before-a-command"),
        pytest.param("x TOKEN=$'a\\tb' y", f"x TOKEN={B} y", id="dollar"),
        pytest.param("x --token 'ab'\\''c d' y", f"x --token {B} y", id="flag"),
        pytest.param("token: 'ab''c d' y", f"token: {B} y", id="yaml"),
        pytest.param('Pwd="ab""c d";Server=x', f"Pwd={B};Server=x", id="odbc"),
        pytest.param('TOKEN="" x', f"TOKEN={B} x", id="empty"),
        pytest.param('export TOKEN="a\nb;c"\nx', f"export TOKEN={B}\nx", id="of-many-lines"),
        pytest.param("declare -x TOKEN=ab'c\nx", f"declare -x TOKEN={B}\nx", id="odd-quote"),
        pytest.param("PASSWORD=a&b,c\n", f"PASSWORD={B}\n", id="variable"),
        pytest.param("TOKEN=a b c\nX=2\n", f"TOKEN={B}\nX=2\n", id="first-of-env"),
        pytest.param("X=2\r\nTOKEN=a b c\r\n", f"X=2\r\nTOKEN={B}\r\n", id="last-of-env"),
        pytest.param("TOKEN=a b c\nfailed\n", f"TOKEN={B} b c\nfailed\n", id="alone"),
        pytest.param("x\nTOKEN=a b c", f"x\nTOKEN={B} b c", id="alone-at-the-end"),
        pytest.param("TOKEN=a l=e\nX=2\n", f"TOKEN={B} l=e\nX=2\n", id="pairs"),
        pytest.param(
            "X=1\nTOKEN=a,b;ERROR=bad x y", f"X=1\nTOKEN={B};ERROR=bad x y", id="error-behind"
        ),
        pytest.param("TOKEN='a;ERROR=b' x", f"TOKEN={B} x", id="no-error-in-quotes"),
        pytest.param(
            "X=1\nAUTH_ERROR=connect refused by x", f"X=1\nAUTH_ERROR={B} refused by x", id="error"
        ),
        pytest.param("PASSWORD=x&&echo it-failed", f"PASSWORD={B} it-failed", id="command-behind"),
        pytest.param("token=a&b\n", f"token={B}&b\n", id="form"),
    ],
)
def test_what_a_shell_prints_is_blanked_to_its_end(given: str, redacted: str) -> None:
    assert redaction.redact(given) == redacted


@pytest.mark.parametrize(
    ("given", "redacted"),
    [
        pytest.param("sshpass -p s3cr3t ssh h", f"sshpass -p {B} ssh h", id="sshpass"),
        pytest.param(
            "ALTER USER ann WITH PASSWORD 's3 cr' VALID",
            f"ALTER USER ann WITH PASSWORD {B} VALID",
            id="postgresql",
        ),
        pytest.param(
            "CREATE USER 'a'@'%' IDENTIFIED WITH sha2 BY 's3cr3t';",
            f"CREATE USER 'a'@'%' IDENTIFIED WITH sha2 BY {B};",
            id="sql",
        ),
        pytest.param(
            "SET PASSWORD FOR 'a'@'h' = PASSWORD('s3cr3t');",
            f"SET PASSWORD FOR 'a'@'h' = PASSWORD({B});",
            id="sql-set",
        ),
        pytest.param(
            "machine h login ann password s3cr3t\nmachine i\n  login b\n  password s3cr4t\n",
            f"machine h login ann password {B}\nmachine i\n  login b\n  password {B}\n",
            id="netrc",
        ),
        pytest.param(
            "Public-Lines: 1\nAAAA\nPrivate-Lines: 2\nAAAB\nBBBB=\nPrivate-MAC: 1\n",
            f"Public-Lines: 1\nAAAA\nPrivate-Lines: 2\n{B}\nPrivate-MAC: 1\n",
            id="putty",
        ),
        pytest.param("docker login -u a -p s3cr3t h", f"docker login -u a -p {B} h", id="docker"),
        pytest.param("podman login -ps3cr3t h", f"podman login -p{B} h", id="attached"),
        pytest.param(
            '["docker","login","-p","s3cr3t"]', f'["docker","login","-p",{B}]', id="docker-list"
        ),
        pytest.param("helm registry login -p 'a b'", f"helm registry login -p {B}", id="helm"),
        pytest.param("oc login -p the-s3cr3t", f"oc login -p {B}", id="begins-as-a-sentence"),
        pytest.param("az login -p s3cr3t -t x", f"az login -p {B} -t x", id="az"),
        pytest.param("oc login -p s3cr3t", f"oc login -p {B}", id="oc"),
        pytest.param("redis-cli -h r -a s3cr3t ping", f"redis-cli -h r -a {B} ping", id="redis"),
        pytest.param("ldapsearch -x -w s3cr3t -b d", f"ldapsearch -x -w {B} -b d", id="ldap"),
        pytest.param("mongosh -u r -p s3cr3t", f"mongosh -u r -p {B}", id="mongo"),
        pytest.param("dsn u:a:b@c@tcp(db:3306)/x", f"dsn u:{B}@tcp(db:3306)/x", id="mysql-address"),
        pytest.param("u:s3cr3t@unix(/run/s)/x", f"u:{B}@unix(/run/s)/x", id="mysql-socket"),
        pytest.param("Unseal Key 1: a/b+c=", f"Unseal Key 1: {B}", id="unseal-key"),
        pytest.param("at hvs.CAESIabc-d_e.", f"at {B}.", id="vault-token"),
        pytest.param(
            "password    s3cr3t\nusername    ann\ntoken_accessor    x\n",
            f"password    {B}\nusername    ann\ntoken_accessor    x\n",
            id="vault-table",
        ),
        pytest.param("password    swordfish", f"password    {B}", id="word-in-a-table"),
        pytest.param("password    CorrectHorse", f"password    {B}", id="words-in-a-table"),
        pytest.param("secret_id    s3-cr", f"secret_id    {B}", id="vault-role"),
        pytest.param("API key: s3cr-et", f"API key: {B}", id="api-key"),
        pytest.param("x\nSecret Access Key: abc\n", f"x\nSecret Access Key: {B}\n", id="access"),
        pytest.param("with private key: ab12cd34 x", f"with private key: {B} x", id="digits"),
        pytest.param(
            "id_rsa: LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVkt\n" + "a1" * 38 + "\nab==\nx",
            f"id_rsa: {B}\nx",
            id="key-in-base64",
        ),
    ],
)
def test_what_tools_take_and_print_is_blanked(given: str, redacted: str) -> None:
    assert redaction.redact(given) == redacted


@pytest.mark.parametrize(
    "harmless",
    [
        "docker login ghcr.io && mkdir -p /x",
        "login -p x; sshpass -e ssh -p 22 h",
        "ldapsearch -x -W cn=a",
        "redis-cli -a -h x",
        "mongosh -p --port 3",
        "token    failed\nauth     3\ndb-token    5m\nsecret    a b",
        "auth     CrashLoopBackOff\nSecret      OutOfSync\ntoken   ERROR\nauth   ErrImagePull",
        "password   <none>\npassword   null\ntoken    rejected\ntoken    required",
        "redis-cli -a needs an argument; ldapadd: invalid -w option given",
        "helm registry login localhost -p: flag needs an argument",
        "references non-existent secret key: db",
        "failed to parse private key: x509: bad\nprivate key: asn1: structure error",
        "failed to load private key: EOF\nAPI key: missing\naccess key: 10.0.0.1:80 refused",
        "ca.crt: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUI",
        "id.pub: LS0tLS1CRUdJTiBQVUJMSUMgS0VZLS0tLS0KTUlJQ",
    ],
)
def test_what_tools_say_without_a_secret_stays_whole(harmless: str) -> None:
    assert redaction.redact(harmless) == harmless
