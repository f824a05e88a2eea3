"""Every way in which a secret is written down, and what only looks like one."""

from __future__ import annotations

import json

import pytest

from workflowexecution.domain import redaction

B = redaction.BLANK
KEY_44 = "c2VjcmV0IGJ5dGVzIGluIGJhc2U2NCwgMzIgb2YgdGg="
HASH = "0123456789abcdef" * 2
GITHUB = "ghp_" + "a1B2" * 9
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{KEY_44}\n{KEY_44}\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("given", "redacted"),
    [
        pytest.param("secretKey: x", f"secretKey: {B}", id="camel"),
        pytest.param("tokenValue=x y", f"tokenValue={B} y", id="word-after"),
        pytest.param("DB_PASS=x y", f"DB_PASS={B} y", id="pass"),
        pytest.param("passphrase=x", f"passphrase={B}", id="passphrase"),
        pytest.param("PGPASSWORD=x psql", f"PGPASSWORD={B} psql", id="contained"),
        pytest.param("Tls.Key: x", f"Tls.Key: {B}", id="kind-of-key"),
        pytest.param("password => 'x'", f"password => {B}", id="arrow"),
        pytest.param("password := `x`", f"password := {B}", id="walrus"),
        pytest.param("env['PASSWORD'] = 'x y'", f"env['PASSWORD'] = {B}", id="subscript"),
        pytest.param("password=b'x y' z", f"password={B} z", id="bytes"),
        pytest.param("password:hunter2", f"password:{B}", id="no-space"),
        pytest.param("db-password:hunter2", f"db-password:{B}", id="no-space-and-dash"),
        pytest.param("/etc/db/password:hunter2", f"/etc/db/password:{B}", id="line-of-a-file"),
        pytest.param("app/db-password:hunter2", f"app/db-password:{B}", id="line-of-a-path"),
        pytest.param("conf.d/db-password:hunter2", f"conf.d/db-password:{B}", id="dotted-path"),
        pytest.param("system:auth:hunter2", f"system:auth:{B}", id="no-account"),
    ],
)
def test_a_value_is_blanked_behind_each_spelling_of_a_name(given: str, redacted: str) -> None:
    assert redaction.redact(given) == redacted


@pytest.mark.parametrize(
    ("given", "redacted"),
    [
        pytest.param(r'{"password":"a\"b", "c": 1}', f'{{"password":{B}, "c": 1}}', id="escape"),
        pytest.param(r'{"password":"a\\", "c": 1}', f'{{"password":{B}, "c": 1}}', id="backslash"),
        pytest.param('"password":["abc","b"],"c":1', f'"password":{B},"c":1', id="list"),
        pytest.param('"password":["a]b"] c', f'"password":{B} c', id="bracket-in-a-string"),
        pytest.param('"token":{"a":{"b":["x"]},"c":"y"} z', f'"token":{B} z', id="object"),
        pytest.param("map[password:[a b] user:c]", f"map[password:{B} user:c]", id="go-map"),
        pytest.param("password: |\n  foo\n  bar\nuser: x", f"password: {B}\nuser: x", id="block"),
        pytest.param(
            " password: >-\n   a\n\n   b\n user: x", f" password: {B}\n user: x", id="nested"
        ),
        pytest.param(
            r"password: |\n  foo\n  bar\nuser: x", rf"password: {B}\nuser: x", id="escaped"
        ),
        pytest.param("password: |", f"password: {B}", id="block-cut"),
        pytest.param(
            '{"name":"DB_PASSWORD","value":"hunter2"}',
            f'{{"name":"DB_PASSWORD","value":{B}}}',
            id="variable",
        ),
        pytest.param(
            "- name: DB_PASSWORD\n  value: hunter2\n",
            f"- name: DB_PASSWORD\n  value: {B}\n",
            id="yaml-variable",
        ),
        pytest.param(
            "{Name:DB_PASSWORD Value:hunter2 ", f"{{Name:DB_PASSWORD Value:{B} ", id="go-variable"
        ),
        pytest.param("<p><password>a b</password>", f"<p><password>{B}</password>", id="xml"),
        pytest.param(
            '<db:token n="x">a\n</db:token>', f'<db:token n="x">{B}</db:token>', id="xml-ns"
        ),
        pytest.param(
            r"\u003cpwd\u003ea\u003c/pwd\u003e",
            rf"\u003cpwd\u003e{B}\u003c/pwd\u003e",
            id="xml-in-json",
        ),
        pytest.param(
            '{"name":"MODE","value":"fast"},"token"',
            '{"name":"MODE","value":"fast"},"token"',
            id="harmless-variable",
        ),
    ],
)
def test_a_structured_value_is_blanked_to_its_end(given: str, redacted: str) -> None:
    assert redaction.redact(given) == redacted


@pytest.mark.parametrize("times", range(4))
def test_json_in_json_is_blanked_however_deep(times: int) -> None:
    text = json.dumps({"password": 'hun"ter2', "user": "ann", "tls.crt.key": KEY_44})
    for _ in range(times):
        text = json.dumps({"said": text})
    told = redaction.redact(text)
    assert "hun" not in told
    assert "ter2" not in told
    assert KEY_44[:-1] not in told
    assert "ann" in told


@pytest.mark.parametrize(
    ("given", "redacted"),
    [
        pytest.param(f"Authorization: token {GITHUB}\nx", f"Authorization: {B}\nx", id="token"),
        pytest.param("Authorization: ApiKey abc def", f"Authorization: {B}", id="api-key"),
        pytest.param(
            'Authorization: Digest username="u", response="r r"\nHost: x',
            f"Authorization: {B}\nHost: x",
            id="digest",
        ),
        pytest.param(
            "authorization=AWS4-HMAC-SHA256 Credential=AKIA/s3, Signature=abc",
            f"authorization={B}",
            id="aws",
        ),
        pytest.param(
            "curl -H 'Authorization: token x y' https://h",
            f"curl -H 'Authorization: {B}' https://h",
            id="closing-quote",
        ),
        pytest.param(
            r"{\"Authorization\": \"token x y\", \"a\": 1}",
            rf"{{\"Authorization\": {B}, \"a\": 1}}",
            id="json-in-json",
        ),
        pytest.param(
            '{"Authorization":["token x"],"a":1}', f'{{"Authorization":{B},"a":1}}', id="list"
        ),
        pytest.param("Proxy-Authorization: x y", f"Proxy-Authorization: {B}", id="proxy"),
    ],
)
def test_a_header_is_blanked_to_the_end_of_its_line_or_string(given: str, redacted: str) -> None:
    assert redaction.redact(given) == redacted


@pytest.mark.parametrize(
    ("given", "redacted"),
    [
        pytest.param(f'"key": "{KEY_44}"', f'"key": "{B}"', id="key"),
        pytest.param(f'"tls.key": "LS0t{KEY_44}"', f'"tls.key": {B}', id="kind-of-key"),
        pytest.param(f'the key  -->  "{KEY_44}"', f'the key  -->  "{B}"', id="far"),
        pytest.param("postgres://user:p@ss@host/db", f"postgres://user:{B}@host/db", id="url"),
        pytest.param("postgres://user:p/w@host/db", f"postgres://user:{B}@host/db", id="slash"),
        pytest.param("redis://:hunter2@host:6379", f"redis://:{B}@host:6379", id="no-user"),
        pytest.param("smtp://a@b.c:hunter2@host", f"smtp://a@b.c:{B}@host", id="mail"),
        pytest.param(f"a\n{PEM}\nb", f"a\n{B}\nb", id="pem"),
        pytest.param(PEM[:70] + "\nb", B, id="pem-cut"),
        pytest.param("a b\n" + PEM[40:] + "\nb", f"a b\n{B}\nb", id="pem-without-its-beginning"),
        pytest.param(PEM.replace("\n", r"\n") + r"\nb", rf"{B}\nb", id="pem-in-json"),
        pytest.param("id AKIAIOSFODNN7EXAMPLE.", f"id {B}.", id="aws"),
        pytest.param(f"cloning with {GITHUB}.", f"cloning with {B}.", id="github"),
        pytest.param("github_pat_11AAAA_bbbbccccdddd x", f"{B} x", id="github-pat"),
        pytest.param("xoxb-1234567890-abc x", f"{B} x", id="slack"),
        pytest.param("glpat-abcDEF123_-4567 x", f"{B} x", id="gitlab"),
        pytest.param("glrt-abcDEF123_-4567 x", f"{B} x", id="gitlab-runner"),
        pytest.param("xapp-1-A0B1-abc x", f"{B} x", id="slack-app"),
        pytest.param(f"sk-{HASH} x", f"{B} x", id="model"),
        pytest.param(f"using sk-ant-api03-{HASH}.", f"using {B}.", id="model-of-another"),
        pytest.param("sk_live_abcDEF1234 x", f"{B} x", id="payments"),
        pytest.param(f"npm_{HASH} x", f"{B} x", id="npm"),
        pytest.param(f"pypi-AgEIcHlwaS5vcmc{HASH} x", f"{B} x", id="pypi"),
        pytest.param(f"dckr_pat_{HASH} x", f"{B} x", id="docker"),
        pytest.param(f"AIza{HASH} x", f"{B} x", id="google"),
        pytest.param(f"ya29.{HASH} x", f"{B} x", id="google-oauth"),
        pytest.param(f"glsa_{HASH}_0a1b2c3d x", f"{B} x", id="grafana"),
        pytest.param(f"hf_{HASH} x", f"{B} x", id="hugging-face"),
        pytest.param(f"AGE-SECRET-KEY-1{'QPZ2' * 14} x", f"{B} x", id="age"),
    ],
)
def test_a_secret_is_blanked_by_its_look(given: str, redacted: str) -> None:
    assert redaction.redact(given) == redacted


@pytest.mark.parametrize(
    ("given", "redacted"),
    [
        pytest.param("x --password foo bar", f"x --password {B} bar", id="password"),
        pytest.param("x --token 'a b' bar", f"x --token {B} bar", id="quoted"),
        pytest.param("x --client-secret foo", f"x --client-secret {B}", id="secret"),
        pytest.param("--password the-a b", f"--password {B} b", id="begins-as-a-sentence"),
        pytest.param("--password is.it b", f"--password {B} b", id="begins-with-a-dot"),
        pytest.param('["--db-password","a b","--x"]', f'["--db-password",{B},"--x"]', id="list"),
        pytest.param("a.-b.--token foo bar", f"a.-b.--token {B} bar", id="behind-a-dot"),
        pytest.param(f"--{'a-' * 64}token foo", f"--{'a-' * 64}token {B}", id="long"),
        pytest.param("--clé-token foo bar", f"--clé-token {B} bar", id="beyond-ascii"),
        pytest.param('["--x", "--token", "a"]', f'["--x", "--token", {B}]', id="spaced-list"),
        pytest.param("curl -u ann:hunter2 h", f"curl -u ann:{B} h", id="curl"),
        pytest.param("curl -sSu 'ann:hunter2' h", f"curl -sSu 'ann:{B}' h", id="curl-letters"),
        pytest.param('["curl","--user","a:b"]', f'["curl","--user","a:{B}"]', id="curl-list"),
        pytest.param("mysql -u a -phunter2 db", f"mysql -u a -p{B} db", id="mysql"),
        pytest.param("mysqldump -p'a b' db", f"mysqldump -p{B} db", id="mysql-quoted"),
        pytest.param('["mariadb-dump","-pa","db"]', f'["mariadb-dump","-p{B}","db"]', id="list-p"),
        pytest.param("sshpass -phunter2 ssh h", f"sshpass -p{B} ssh h", id="sshpass"),
    ],
)
def test_the_value_of_a_flag_is_blanked(given: str, redacted: str) -> None:
    assert redaction.redact(given) == redacted


@pytest.mark.parametrize(
    "harmless",
    [
        "ghcr.io/org/rotate-secret:v1.2.3",
        "ghcr.io/org/rotate-secret:main",
        "ghcr.io/org/rotate-secret:v1.2.3@sha256:" + HASH * 2,
        "localhost:5000/token-service:dev: not found",
        "rotate-secret:v1.2.3",
        "org/auth:1.2.",
        "docker://alpine-auth:3.18@sha256:" + HASH * 2,
        f"we-rotate-token-{HASH}",
        f'pod "we-rotate-token-{HASH}-apply-pod": container exited',
        'Back-off pulling image "ghcr.io/org/auth:1.2"',
        'Back-off pulling image "ghcr.io/org/auth:1.2": ErrImagePull',
        'User "system:serviceaccount:auth:runner" cannot get resource "secrets"',
        "system:serviceaccount:token-broker:runner",
        'in API group "rbac.authorization.k8s.io": denied',
        "unknown flag: --token",
        "the flag --token is missing",
        "it has no --token for. x",
        "--password --user ann",
        "mysql -p -P 3306 db; mkdir -p x",
        "mysql -P3306 -h db --protocol tcp",
        "pod mysql-0 of -part",
        "<passage>a</passage> <author>x</author> <token/> x",
        "https://host:8080/keys/@scope",
        "git+ssh://git@host:22/key.git",
        "3 tests pass; compass: north, author: me, monkey: 1, keyboard=us, authority: x",
        "-----BEGIN CERTIFICATE-----\nkey\n-----END CERTIFICATE-----",
        "secrets \"db\" not found; key \"k\" of it",
        "task-0123456789abcdef0123456789abcdef0123 of disk-ant-0123456789abcdef",
        "sk-proj-1 npm_config_registry hf_hub self_test_1 the disk_live_migration_a",
        "default login password is required; identified by its name",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_secret_stays_whole(harmless: str) -> None:
    assert redaction.redact(harmless) == harmless


def test_an_opaque_value_is_blanked_under_any_key() -> None:
    assert redaction.redact_value("signature_key", KEY_44) == B
    assert redaction.redact_value("event_key", "0d1f2a3b-uid.completed") == "0d1f2a3b-uid.completed"


@pytest.mark.parametrize("text", [f'{{"password": "x", "n": ["{GITHUB}"]}}', PEM, "--token x"])
def test_a_text_that_is_redacted_stays_as_it_is(text: str) -> None:
    told = redaction.redact(text)
    assert redaction.redact(told) == told
