# SPDX-License-Identifier: MIT
"""Rate limits: of this process, common to several by Redis, and without it when it fails."""
import concurrent.futures
import re
import socket
import time

import psycopg2
import pytest
from servers.mailserver import TOKEN, message
from servers.redis import Redis
from servers.waiting import wait_for

NO_EMAIL = "/api/emails/0198f1c2-0000-7000-8000-000000000000"
# Where Redis itself is fine, a busy machine must not make it look slow.
PATIENT_MS = 1000


@pytest.fixture
def redis():
    with Redis() as server:
        yield server


def limits(burst, per_minute=1, **more):
    return {"rate_limit_per_minute": per_minute, "rate_limit_burst": burst, **more}


def shared(redis, burst, per_minute=1, timeout_ms=PATIENT_MS, url=None):
    return limits(burst, per_minute, redis={"url": url or redis.url(), "timeout_ms": timeout_ms})


def ask(server, **more):
    """One request behind the limiter: 404 is its answer when it may pass."""
    return server.get(NO_EMAIL, **more)


def passes(server):
    status = ask(server).status_code
    assert status in (404, 429)
    return status == 404


def count_passes(servers, requests):
    """Of so many requests, sent to each in turn."""
    return sum(passes(servers[i % len(servers)]) for i in range(requests))


def wait_for_redis(server, state="up", worker_count=2):
    """Every worker has its own link; each says so when it is up or down."""
    word = "limits are shared" if state == "up" else "limits are this process' own"

    def all_said():
        last = {}
        for line in server.events():
            if line["event"].startswith("redis: worker"):
                last[line["event"].split()[2]] = word in line["event"]
        return len(last) == worker_count and all(last.values())

    wait_for(all_said, f"redis {state} at every worker")


# ---- one process ----

def test_burst_passes_and_the_next_is_refused(launch):
    server = launch(settings=limits(burst=5))
    for left in (4, 3, 2, 1, 0):
        answer = server.post(message())
        assert answer.status_code == 200, answer.text
        assert answer.headers["X-RateLimit-Limit"] == "1"
        assert answer.headers["X-RateLimit-Remaining"] == str(left)
        assert 0 < int(answer.headers["X-RateLimit-Reset"]) <= (5 - left) * 60
    answer = server.post(message())
    assert answer.status_code == 429
    body = answer.json()
    assert body["type"] == "RATE_LIMIT_ERROR" and body["message"] == "Rate limit exceeded"
    assert body["retryable"] is True and body["enhanced_status"] == "4.7.1"
    assert answer.headers["X-Mail-Status"] == "4.7.1"
    assert body["details"]["limit"] == 1
    assert 50 <= body["details"]["retry_after"] <= 60
    assert answer.headers["Retry-After"] == str(body["details"]["retry_after"])
    assert answer.headers["X-RateLimit-Remaining"] == "0"
    assert 290 <= int(answer.headers["X-RateLimit-Reset"]) <= 300


def test_workers_of_one_process_share_the_limit(launch):
    server = launch(settings=limits(burst=50, workers=4))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(
            lambda _: ask(server, headers={"Connection": "close"}).status_code, range(120)))
    assert statuses.count(404) == 50 and statuses.count(429) == 70


def assert_retry_after_counts(server):
    """Of one that has a request every two seconds."""
    assert passes(server)
    refused = ask(server)
    began = time.monotonic()
    assert refused.status_code == 429 and refused.headers["Retry-After"] == "2"
    wait_for(lambda: time.monotonic() - began >= 2, "the time it said")
    assert passes(server)


def test_after_retry_after_a_request_passes(launch):
    server = launch(settings=limits(burst=1, per_minute=30))
    assert_retry_after_counts(server)


def test_health_and_metrics_are_not_limited(launch):
    server = launch(settings=limits(burst=1))
    for path in ("/health", "/health/live", "/health/ready", "/metrics"):
        for token in (TOKEN, None):
            answers = [server.get(path, token=token) for _ in range(3)]
            assert [answer.status_code for answer in answers] == [200] * 3
            assert not any("X-RateLimit-Limit" in answer.headers for answer in answers)
    assert passes(server) and not passes(server)


def test_all_tokens_together_have_a_limit_of_their_own(launch):
    server = launch(settings={"limits": {"global_per_minute": 12}})
    assert count_passes([server], 5) == 2  # a sixth of a minute's at once
    refused = ask(server)
    assert refused.json()["details"]["limit"] == 12
    assert 1 <= int(refused.headers["Retry-After"]) <= 5


# ---- wrong tokens ----

def test_wrong_tokens_of_one_address_are_limited(launch):
    server = launch(settings={"listen": ["127.0.0.1"]})
    statuses = [ask(server, token="wrong-token-0123456789").status_code for _ in range(14)]
    assert statuses == [401] * 10 + [429] * 4
    # The right one is not looked at either: else a guesser would know it by its answer.
    refused = ask(server)
    assert refused.status_code == 429 and 1 <= int(refused.headers["Retry-After"]) <= 6
    # Another address is not concerned, nor are routes that ask for no token.
    assert server.get("/health").status_code == 200
    with socket.create_connection(("127.0.0.1", server.port), timeout=10,
                                  source_address=("127.0.0.2", 0)) as other:
        other.sendall(f"GET {NO_EMAIL} HTTP/1.0\r\nAuthorization: {TOKEN}\r\n\r\n".encode())
        assert b" 404 " in other.makefile("rb").readline()
    # And by itself it is over.
    wait_for(lambda: ask(server).status_code == 404, "the address to be heard again")


def test_right_tokens_cost_an_address_nothing(launch):
    server = launch()
    assert count_passes([server], 30) == 30
    assert ask(server, token="wrong-token-0123456789").status_code == 401


# ---- messages in flight ----

def test_too_many_messages_in_flight_are_sent_away_and_it_recovers(launch, postgres):
    database = postgres.create_database()
    server = launch(storage_url=postgres.url(database), settings={
        "limits": {"in_flight_messages": 2}, "workers": 1})
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        release = hold_inserts(postgres, database)
        try:
            held = [pool.submit(server.post, message()) for _ in range(2)]
            wait_for(lambda: server.get("/metrics", headers={"Connection": "close"}).json()[
                "active_requests"] == 3, "both to be in flight")
            refused = server.post(message())
        finally:
            release()
        assert refused.status_code == 503 and int(refused.headers["Retry-After"]) >= 1
        assert refused.json()["retryable"] is True
        assert [answer.result().status_code for answer in held] == [200, 200]
    for _ in range(5):
        assert server.post(message()).status_code == 200


def test_too_many_bytes_in_flight_are_sent_away_and_one_message_always_fits(launch, postgres):
    database = postgres.create_database()
    server = launch(storage_url=postgres.url(database), settings={
        "limits": {"in_flight_bytes": 1000}, "workers": 1})
    large = message(body="x" * 70 + "\r\n") + b"y" * 5000
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        release = hold_inserts(postgres, database)
        try:
            held = pool.submit(server.post, large)
            wait_for(lambda: server.get("/metrics", headers={"Connection": "close"}).json()[
                "active_requests"] == 2, "it to be in flight")
            assert server.post(message()).status_code == 503
        finally:
            release()
        assert held.result().status_code == 200
    assert server.post(message()).status_code == 200


def test_client_that_hangs_up_gives_its_place_back(launch, postgres):
    database = postgres.create_database()
    server = launch(storage_url=postgres.url(database), settings={
        "limits": {"in_flight_messages": 1}, "workers": 1})
    release = hold_inserts(postgres, database)
    try:
        body = message()
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            client.sendall(b"POST /email HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n"
                           b"Content-Type: message/rfc822\r\nContent-Length: %d\r\n\r\n%s"
                           % (TOKEN.encode(), len(body), body))
            wait_for(lambda: server.get("/metrics", headers={"Connection": "close"}).json()[
                "active_requests"] == 2, "it to be in flight")
            assert server.post(message()).status_code == 503
    finally:
        release()
    wait_for(lambda: server.post(message()).status_code == 200, "its place to be free")


def hold_inserts(postgres, database):
    """Nothing is committed until what this returns is called."""
    connection = psycopg2.connect(postgres.url(database))
    connection.cursor().execute("lock table messages in share mode")
    return connection.close


# ---- several instances, one Redis ----

def test_two_instances_share_one_limit_exactly(launch, redis):
    """Bursts up to 20 are leased one by one, so nothing is lost to unused leases."""
    servers = [launch(settings=shared(redis, burst=20)) for _ in range(2)]
    for server in servers:
        wait_for_redis(server)
    assert count_passes(servers, 50) == 20
    assert redis.keys() == ["mailserver:bucket:bearer_token"]
    # It goes by itself, when the bucket is full again.
    assert 0 < redis.command("PTTL", "mailserver:bucket:bearer_token") <= 20 * 60_000 + 1000


def test_concurrent_requests_of_two_instances_share_one_limit(launch, redis):
    """With leases of 5: what passes is the burst, less at most one lease per worker, and never
    more than the burst and what came meanwhile."""
    servers = [launch(settings=shared(redis, burst=200, per_minute=6000)) for _ in range(2)]
    for server in servers:
        wait_for_redis(server)
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        passed = sum(pool.map(lambda i: passes_alone(servers[i % 2]), range(600)))
    came = (time.monotonic() - began) * 100
    workers, lease = 4, 5
    assert 200 - workers * lease <= passed <= 200 + came + 1


def passes_alone(server):
    return ask(server, headers={"Connection": "close"}).status_code == 404


def test_headers_tell_of_the_shared_bucket(launch, redis):
    servers = [launch(settings=shared(redis, burst=20)) for _ in range(2)]
    for server in servers:
        wait_for_redis(server)
    for left in range(19, -1, -1):
        answer = ask(servers[left % 2])
        assert answer.headers["X-RateLimit-Remaining"] == str(left)
        assert answer.headers["X-RateLimit-Limit"] == "1"
    for server in servers:
        refused = ask(server)
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        assert 0 < int(refused.headers["X-RateLimit-Reset"]) <= 1200


def test_after_retry_after_a_request_passes_by_redis_clock_too(launch, redis):
    server = launch(settings=shared(redis, burst=1, per_minute=30))
    wait_for_redis(server)
    assert_retry_after_counts(server)


def test_mail_passes_while_redis_is_asked(launch, redis):
    server = launch(settings=shared(redis, burst=10))
    wait_for_redis(server)
    assert server.post(message()).status_code == 200
    # Several in one write: each is held, and goes on in its turn.
    body = message()
    one = (b"POST /email HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Type: message/rfc822"
           b"\r\nContent-Length: %d\r\n\r\n%s" % (TOKEN.encode(), len(body), body))
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(one * 5)
        stream, statuses = client.makefile("rb"), []
        while len(statuses) < 5:
            line = stream.readline()
            if line.startswith(b"HTTP/1.1") or b"HTTP/1.1 200" in line:
                statuses.append(line.split()[1])
    assert statuses == [b"200"] * 5


@pytest.mark.parametrize("place", ["password", "user", "db", "unix", "name"])
def test_every_way_in(launch, place):
    with Redis(**({"requirepass": "p@ss/word"} if place == "password" else {})) as redis:
        if place == "user":
            redis.command("ACL", "SETUSER", "mail", "on", ">s:cret", "~mailserver:*",
                          "+eval", "+evalsha", "+ping", "+time", "+hmget", "+hset", "+pexpire")
            redis.command("ACL", "SETUSER", "default", "off")
        url = {"password": redis.url(login=":p%40ss%2Fword@"),
               "user": redis.url(login="mail:s%3Acret@"),
               "db": redis.url(db=3),
               "unix": f"unix:{redis.socket}",
               "name": f"redis://localhost:{redis.port}"}[place]
        server = launch(settings=shared(redis, burst=3, url=url))
        wait_for_redis(server)
        assert count_passes([server], 5) == 3
        health = server.get("/health").json()
        assert health["services"]["redis"]["status"] == "up"
        if place == "db":
            assert redis.keys() == [] and len(redis.keys(db=3)) == 1


def test_wrong_password_is_said_and_limits_are_local(launch):
    with Redis(requirepass="right") as redis:
        server = launch(settings=shared(redis, burst=3, url=redis.url(login=":wrong@")))
        wait_for_redis(server, "down")
        assert "WRONGPASS" in server.log()
        assert count_passes([server], 5) == 3


# ---- Redis fails ----

def timed_passes(server, requests, within_s):
    """Each of them passes, and none takes long."""
    for _ in range(requests):
        began = time.monotonic()
        assert passes(server)
        assert time.monotonic() - began < within_s


def is_shared(redis, server):
    """A request that passes is charged to the bucket in Redis."""
    redis.command("DEL", "mailserver:bucket:bearer_token")
    return passes(server) and redis.keys() != []


@pytest.mark.parametrize("way", ["slow", "gone"])
def test_without_redis_requests_go_on_at_once_and_come_back_to_it(launch, redis, way):
    server = launch(settings=shared(redis, burst=400, timeout_ms=20))
    wait_for_redis(server)
    assert wait_for(lambda: is_shared(redis, server), "a request that Redis was asked about")
    assert server.get("/health").json()["services"]["redis"]["status"] == "up"
    if way == "slow":
        redis.freeze()
    else:
        redis.kill9()
    # The machine is shared with others: a second is far from the 5 s that a hang would take.
    timed_passes(server, 20, within_s=1)
    wait_for_redis(server, "down")
    health = server.get("/health")
    assert health.status_code == 200 and health.json()["status"] == "degraded"
    assert health.json()["services"]["redis"] == {"status": "down", "latency_ms": None}
    assert server.get("/health/ready").status_code == 200
    if way == "slow":
        redis.thaw()
    else:
        redis.start()
    wait_for_redis(server, "up")
    wait_for(lambda: is_shared(redis, server), "the shared limit")
    assert server.get("/health").json()["status"] == "healthy"


def test_what_this_instance_used_counts_when_it_is_on_its_own(launch, redis):
    server = launch(settings=shared(redis, burst=10))
    wait_for_redis(server)
    assert count_passes([server], 6) == 6
    redis.kill9()
    wait_for_redis(server, "down")
    assert count_passes([server], 10) == 4


def test_emptied_redis_gives_a_full_bucket(launch, redis):
    server = launch(settings=shared(redis, burst=5))
    wait_for_redis(server)
    assert count_passes([server], 8) == 5
    redis.command("FLUSHALL")
    redis.command("SCRIPT", "FLUSH")
    # What Redis said holds for a second.
    wait_for(lambda: passes(server), "the emptied Redis to be asked")
    assert count_passes([server], 8) == 4


def test_start_without_redis_is_a_start(launch, redis):
    redis.kill9()
    server = launch(settings=shared(redis, burst=5))
    wait_for_redis(server, "down")
    assert count_passes([server], 8) == 5
    redis.start()
    wait_for_redis(server)
    wait_for(lambda: passes(server), "the shared limit")


def test_error_from_redis_is_a_failure_of_redis(launch, redis):
    """Out of memory: it is up, and can keep nothing."""
    server = launch(settings=shared(redis, burst=5))
    wait_for_redis(server)
    redis.command("CONFIG", "SET", "maxmemory", "1")
    assert count_passes([server], 8) == 5
    assert "OOM" in server.log()
    redis.command("CONFIG", "SET", "maxmemory", "0")
    wait_for(lambda: is_shared(redis, server), "the shared limit")


def test_clients_that_hang_up_while_redis_is_asked_harm_nobody(launch, redis):
    server = launch(settings=shared(redis, burst=1000, per_minute=600, timeout_ms=300))
    wait_for_redis(server)
    redis.freeze()
    request = f"GET {NO_EMAIL} HTTP/1.1\r\nHost: x\r\nAuthorization: {TOKEN}\r\n\r\n".encode()
    for _ in range(30):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            client.sendall(request)
    redis.thaw()
    wait_for(lambda: passes(server), "an answer")
    wait_for(lambda: server.get("/metrics").json()["active_requests"] == 1,
             "nothing to be held any more")
    assert server.stop() == 0


def test_it_stops_cleanly_while_redis_is_asked(launch, redis):
    server = launch(settings=shared(redis, burst=1000, timeout_ms=500))
    wait_for_redis(server)
    redis.freeze()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(passes_alone, server) for _ in range(4)]
        assert all(answer.result() for answer in asked)
        assert server.stop() == 0


def test_unusable_url_stops_the_start(launch):
    server = launch(start=False, settings={"redis": {"url": "redis://host:port"}})
    server.launch()
    assert server.process.wait(20) == 1
    assert "redis.url" in server.log()


def test_decisions_are_counted(launch):
    server = launch(settings={"rate_limit_per_minute": 60, "rate_limit_burst": 3})
    statuses = [server.post(message()).status_code for _ in range(5)]
    assert statuses == [200] * 3 + [429] * 2
    assert server.post(message(), token="wrong-token-0123456789").status_code == 401
    text = server.scrape().text
    assert 'rate_limit_hits_total{action="allowed"} 3' in text
    assert 'rate_limit_hits_total{action="denied"} 2' in text
    assert 'auth_failures_total{reason="invalid"} 1' in text
    for _ in range(20):
        server.post(message(), token="wrong-token-0123456789")
    limited = int(re.search(r'auth_failures_total\{reason="limited"\} (\d+)', server.scrape().text)[1])
    assert limited == 11  # of 21 wrong tokens, ten are looked at


def test_redis_errors_are_counted(launch, redis):
    server = launch(settings={"redis": {"url": redis.url()}})
    assert server.post(message()).status_code == 200

    def errors():
        return int(re.search(r'rate_limit_backend_errors_total\{backend="redis"\} (\d+)',
                             server.scrape().text)[1])

    redis.kill9()
    wait_for(lambda: server.post(message()).status_code == 200 and errors() > 0, "an error counted")


def test_limits_are_reloaded(launch):
    server = launch(settings={"rate_limit_per_minute": 1, "rate_limit_burst": 2})
    assert [server.post(message()).status_code for _ in range(3)] == [200, 200, 429]
    server.settings.update(rate_limit_per_minute=600_000, rate_limit_burst=1000)
    server.reload()
    wait_for(lambda: server.post(message()).status_code == 200, "the new rate")
    assert server.post(message()).headers["X-RateLimit-Limit"] == "600000"
    server.settings.setdefault("limits", {})["global_per_minute"] = 6
    server.reload()
    assert [server.post(message()).status_code for _ in range(2)] == [200, 429]
    assert not any("takes effect at the next start" in e["event"] for e in server.events())
