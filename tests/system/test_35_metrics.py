# SPDX-License-Identifier: MIT
"""What is counted agrees with what was sent, and Prometheus agrees with what is counted."""
import random
import re
import signal
import socket
import string
import subprocess

import psycopg2
import pytest
import requests

from servers.mailserver import ROOT, http_request, message, receive_all
from servers.metrics import samples, value
from servers.postgres import Postgres
from servers.prometheus import Prometheus
from servers.waiting import wait_for

FAMILIES = {
    "http_request_duration_seconds": "histogram",
    "http_requests_total": "counter",
    "http_active_requests": "gauge",
    "http_active_connections": "gauge",
    "http_request_size_bytes": "histogram",
    "http_response_size_bytes": "histogram",
    "emails_processed_total": "counter",
    "email_size_bytes": "histogram",
    "email_processing_duration_seconds": "histogram",
    "email_parse_status_total": "counter",
    "storage_operations_total": "counter",
    "storage_operation_duration_seconds": "histogram",
    "storage_batch_messages": "histogram",
    "storage_queue_depth": "gauge",
    "storage_connections": "gauge",
    "storage_circuit_state": "gauge",
    "storage_purged_messages_total": "counter",
    "storage_purged_keys_total": "counter",
    "rate_limit_hits_total": "counter",
    "rate_limit_backend_errors_total": "counter",
    "auth_failures_total": "counter",
    "shutdowns_initiated_total": "counter",
    "shutdown_duration_seconds": "histogram",
    "cache_requests_total": "counter",
    "mailserver_build_info": "gauge",
    "process_cpu_seconds_total": "counter",
    "process_resident_memory_bytes": "gauge",
    "process_virtual_memory_bytes": "gauge",
    "process_virtual_memory_max_bytes": "gauge",
    "process_open_fds": "gauge",
    "process_max_fds": "gauge",
    "process_start_time_seconds": "gauge",
    "process_threads": "gauge",
}
OPENMETRICS = "application/openmetrics-text;version=1.0.0"


def family(server, name):
    """{label pairs: value} of what counted; the probes of the test's own start are left out."""
    return {labels: v for (found, labels), v in samples(server).items()
            if found == name and v > 0 and ("endpoint", "/health/live") not in labels}


def request_labels(method, endpoint, status):
    return frozenset({"method": method, "endpoint": endpoint, "status": str(status)}.items())


def promtool(text):
    return subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True,
                          text=True, check=False)


def test_every_metric_is_there_from_the_start(server):
    text = server.scrape().text
    assert dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M)) == FAMILIES
    assert set(re.findall(r"^# HELP (\w+) \S", text, re.M)) == set(FAMILIES)
    for name in ("emails_processed_total", "auth_failures_total", "rate_limit_hits_total",
                 "shutdowns_initiated_total", "cache_requests_total", "email_parse_status_total"):
        assert len(re.findall(rf"^{name}{{.*}} 0$", text, re.M)) >= 2, name


def test_the_page_about_metrics_names_them_all():
    page = (ROOT / "docs/metrics.md").read_text()
    named = set(re.findall(r"`([a-z_]+(?:_total|_seconds|_bytes|_info|[a-z]))`", page))
    missing = {name for name in FAMILIES if not name.startswith("process_")} - named
    assert not missing and "`process_*`" in page


@pytest.mark.parametrize("namespace", ["", "gomail"])
def test_promtool_finds_nothing_to_say(launch, namespace):
    server = launch(settings={"metrics_namespace": namespace})
    assert server.post(message()).status_code == 200
    assert server.get("/nowhere").status_code == 404
    text = server.scrape().text
    done = promtool(text)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    prefix = namespace + "_" if namespace else ""
    assert set(re.findall(r"^# TYPE (\w+)", text, re.M)) == {prefix + name for name in FAMILIES}
    assert promtool(text.replace("# HELP", "# NO")).returncode != 0


def send_and_leave(server, data):
    """A whole request from a client that does not wait for its answer."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as s:
        s.sendall(data)


def test_figures_are_what_was_sent(launch, storage_url):
    """Over many connections, and so over all workers; Prometheus comes to the same."""
    server = launch(storage_url=storage_url,
                    settings={"workers": 3, "limits": {"max_message_bytes": 20000}})
    bodies = [message(body="x" * 100 * n) for n in range(40)]
    for body in bodies:
        assert b'"duplicate":false' in server.send_raw(http_request(body))
    for body in bodies[:7]:
        assert b'"duplicate":true' in server.send_raw(http_request(body))
    id_ = server.post(bodies[0]).json()["id"]
    assert server.get(f"/api/emails/{id_}").status_code == 200
    assert server.request("HEAD", f"/api/emails/{id_}").status_code == 200
    assert server.get(f"/api/emails/{id_}/raw").content == bodies[0]
    assert server.get("/api/emails/no-such-id").status_code == 404
    assert server.get("/api/emails/01a20143-8c95-7000-981c-0e8e28b0d1ce").status_code == 404
    assert server.post(b"").status_code == 400
    assert server.post_json(b"{").status_code == 400
    assert server.post_json(b"[]", path="/email").status_code == 400
    assert b" 413 " in server.send_raw(http_request(b"", length=99999))  # h2o's own refusal
    chunked = [b"Transfer-Encoding: chunked"]
    assert b" 413 " in server.send_raw(http_request(
        b"4e21\r\n" + b"x" * 20001 + b"\r\n0\r\n\r\n", chunked, length=False))
    assert b" 400 " in server.send_raw(http_request(b"zz\r\n", chunked, length=False))
    assert b" 417 " in server.send_raw(http_request(b"", ["Expect: a miracle"]))
    assert server.post(message(), token=None).status_code == 401
    assert server.post(message(), token="wrong-token-0123456789").status_code == 401
    assert server.get("/api/emails/x", token="wrong-token-0123456789").status_code == 401
    assert server.get("/nowhere").status_code == 404
    assert server.request("BREW", "/nowhere").status_code == 404
    assert server.request("PUT", "/mail/inbound").status_code == 405
    assert server.request("DELETE", "/health").status_code == 405
    assert server.get("/health").status_code == 200
    left = [message(body="bye") for _ in range(5)]
    for body in left:
        send_and_leave(server, http_request(body))
    send_and_leave(server, http_request(b"half", length=100))  # never was a request

    expected = {
        request_labels("POST", "/mail/inbound", 200): 40 + 7 + 1 + 5,
        request_labels("GET", "/api/emails/{id}", 200): 1,
        request_labels("HEAD", "/api/emails/{id}", 200): 1,
        request_labels("GET", "/api/emails/{id}/raw", 200): 1,
        request_labels("GET", "/api/emails/{id}", 404): 2,
        request_labels("POST", "/mail/inbound", 400): 3,
        request_labels("POST", "/email", 400): 1,
        request_labels("POST", "/mail/inbound", 413): 2,
        request_labels("POST", "/mail/inbound", 417): 1,
        request_labels("POST", "/mail/inbound", 401): 2,
        request_labels("GET", "/api/emails/{id}", 401): 1,
        request_labels("GET", "none", 404): 1,
        request_labels("other", "none", 404): 1,
        request_labels("PUT", "/mail/inbound", 405): 1,
        request_labels("DELETE", "/health", 405): 1,
        request_labels("GET", "/health", 200): 1,
    }
    try:
        wait_for(lambda: family(server, "http_requests_total") == expected, "the counts", 10)
    except AssertionError:
        assert family(server, "http_requests_total") == expected
    assert family(server, "http_request_duration_seconds_count") == expected

    stored, sizes = 40 + 5, sum(map(len, bodies + left))
    assert {dict(k)["status"]: v for k, v in family(server, "emails_processed_total").items()} == {
        "success": stored, "duplicate": 8, "rejected": 6}
    assert value(server, "email_size_bytes_count") == stored
    assert value(server, "email_size_bytes_sum") == sizes
    assert value(server, "email_parse_status_total", status="ok") == stored + 8
    for stage in ("parse", "store", "total"):
        assert value(server, "email_processing_duration_seconds_count", stage=stage) == stored + 8
    assert {dict(k)["reason"]: v for k, v in family(server, "auth_failures_total").items()} == {
        "missing": 1, "invalid": 2}
    backend = "postgres" if storage_url else "sqlite"
    assert {(dict(k)["operation"], dict(k)["status"]): v
            for k, v in family(server, "storage_operations_total").items()
            if ("backend", backend) in k and ("operation", "ping") not in k} == {
        ("put", "ok"): stored, ("put", "duplicate"): 8, ("get", "ok"): 2, ("get", "not_found"): 1,
        ("raw", "ok"): 1}
    assert value(server, "storage_batch_messages_sum") == stored + 8
    wait_for(lambda: value(server, "http_active_connections") == 1, "all but one to be closed")
    assert value(server, "http_active_requests") == 0
    assert value(server, "http_request_size_bytes_sum", endpoint="none") == 0

    with Prometheus(server.metrics_port) as prometheus:
        wait_for(lambda: prometheus.value("up") == 1, "the target to be up")
        assert prometheus.target()["lastError"] == ""
        # OpenMetrics, as it asks for: there a counter's family has no suffix.
        assert wait_for(lambda: prometheus.type_of("http_requests"), "the metadata") == "counter"
        assert prometheus.type_of("email_size_bytes") == "histogram"
        assert prometheus.query(
            'http_requests_total{endpoint!="/health/live"}') == expected
        assert prometheus.value("sum(emails_processed_total)") == stored + 8 + 6
        assert prometheus.value("email_size_bytes_sum") == sizes
        assert prometheus.value('email_size_bytes_bucket{le="+Inf"}') == stored
        assert server.post(message()).status_code == 200
        wait_for(lambda: prometheus.value('emails_processed_total{status="success"}') ==
                 stored + 1, "the next scrape")


def test_series_do_not_grow_with_what_strangers_send(launch):
    server = launch()
    server.get("/nowhere")
    server.request("BREW", "/nowhere")
    wait_for(lambda: value(server, "http_requests_total", method="other", endpoint="none",
                           status="404"), "the counts")
    before = set(samples(server))
    chance = random.Random(1)
    for _ in range(1000):
        method = "".join(chance.choices(string.ascii_uppercase, k=chance.randint(1, 12)))
        path = "/" + "".join(chance.choices(string.ascii_letters + "/-_.~%", k=20))
        if method not in ("GET", "HEAD", "POST", "PUT", "DELETE"):
            assert server.request(method, path).status_code == 404
    assert server.get("/nowhere").status_code == 404
    wait_for(lambda: value(server, "http_requests_total", method="GET", endpoint="none",
                           status="404") == 2, "the counts")
    assert set(samples(server)) == before
    assert value(server, "http_requests_total", method="other", endpoint="none", status="404") > 990


@pytest.mark.parametrize("accept", ["text/plain", OPENMETRICS])
def test_page_is_compressed_for_those_who_ask(launch, accept):
    server = launch()
    plain = server.scrape(headers={"Accept": accept, "Accept-Encoding": "identity"})
    small = server.scrape(headers={"Accept": accept, "Accept-Encoding": "gzip"}, stream=True)
    assert "Content-Encoding" not in plain.headers
    assert small.headers["Content-Encoding"] == "gzip"
    assert len(small.raw.read(decode_content=False)) < len(plain.content) / 3
    text = server.scrape(headers={"Accept": accept, "Accept-Encoding": "gzip"}).text
    assert re.findall("^# .*", text, re.M) == re.findall("^# .*", plain.text, re.M)


def test_openmetrics_for_those_who_ask(launch):
    server = launch()
    text, metrics = server.scrape(), server.scrape(headers={"Accept": OPENMETRICS})
    assert text.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "# EOF" not in text.text
    assert metrics.headers["Content-Type"] == (
        "application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert metrics.text.endswith("\n# EOF\n") and metrics.text.count("# EOF") == 1
    assert "# TYPE http_requests counter\n" in metrics.text


def test_the_port_has_one_path_and_two_methods(launch):
    server = launch(settings={"metrics_path": "/prom/text"})
    assert server.scrape("/prom/text").status_code == 200
    assert server.scrape("/prom/text?x=y").status_code == 200
    for path in ("/metrics", "/", "/health/live", "/mail/inbound", "/prom/text/"):
        assert server.scrape(path).status_code == 404, path
    url = f"http://127.0.0.1:{server.metrics_port}/prom/text"
    refused = requests.post(url, timeout=10)
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD")
    assert requests.post(url, data=b"x", timeout=10).status_code == 413
    head = requests.head(url, timeout=10)
    assert (head.status_code, head.content) == (200, b"")
    assert server.get("/metrics").json()["total_emails"] == 0


def test_metrics_may_be_on_a_unix_socket(launch, tmp_path):
    server = launch(settings={"metrics_listen": [f"unix:{tmp_path}/metrics"]})
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(f"{tmp_path}/metrics")
        s.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert b"\nprocess_open_fds " in receive_all(s)
    with pytest.raises(requests.ConnectionError):
        server.scrape()


def test_port_in_use_stops_the_start(launch):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = launch(start=False, settings={"metrics_port": port}).launch()
        assert server.process.wait(30) == 1
    assert f"cannot listen on 127.0.0.1, port {port}, for metrics: another program" in server.log()


def test_another_server_can_take_over_the_port(launch):
    first = launch()
    second = launch(settings={"metrics_port": first.metrics_port})
    assert first.stop() == 0
    wait_for(lambda: second.session.get(
        f"http://127.0.0.1:{first.metrics_port}/metrics", timeout=5).status_code == 200, "a scrape")


def test_without_metrics_there_is_no_port(launch):
    server = launch(settings={"metrics_enabled": False})
    assert server.post(message()).status_code == 200
    assert server.get("/metrics").json()["total_emails"] == 1
    with pytest.raises(requests.ConnectionError):
        server.scrape()


def test_it_answers_while_the_server_drains(launch):
    server = launch()
    body = message()
    request = http_request(body)
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as s:
        s.sendall(request[:-5])
        wait_for(lambda: value(server, "http_active_connections") == 1, "the connection")
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: value(server, "shutdowns_initiated_total", type="graceful") == 1, "drain")
        assert value(server, "shutdowns_initiated_total", type="forced") == 0
        s.sendall(request[-5:])
        assert receive_all(s).startswith(b"HTTP/1.1 200")  # a connection's first request
    assert server.process.wait(30) == 0


def test_many_scrapers_at_once_are_bounded_and_the_end_does_not_wait_for_them(launch):
    server = launch()
    idle = [socket.create_connection(("127.0.0.1", server.metrics_port), timeout=30)
            for _ in range(64)]
    late = socket.create_connection(("127.0.0.1", server.metrics_port), timeout=30)
    late.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
    late.settimeout(0.3)
    with pytest.raises(TimeoutError):
        late.recv(1)
    idle.pop().close()
    late.settimeout(30)
    assert b" 200 OK" in receive_all(late)
    assert server.stop() == 0
    for s in [late, *idle]:
        s.close()


def test_storage_gauges_follow_the_database(launch):
    with Postgres() as postgres:
        server = launch(storage_url=postgres.url(postgres.create_database()), settings={
            "workers": 2, "storage": {"connections": 3, "connect_timeout": 1}})
        assert server.post(message()).status_code == 200
        wait_for(lambda: value(server, "storage_connections") == 6, "all links")
        assert value(server, "storage_circuit_state") == 0
        postgres.stop()
        wait_for(lambda: value(server, "storage_circuit_state") == 1, "the open circuit")
        assert value(server, "storage_connections") == 0
        assert server.post(message()).status_code == 503
        wait_for(lambda: value(server, "emails_processed_total", status="error"), "the count")
        assert value(server, "storage_operations_total", backend="postgres", operation="put",
                     status="unavailable") == 1
        postgres.start()
        wait_for(lambda: value(server, "storage_circuit_state") == 0, "the closed circuit")
        assert server.post(message()).status_code == 200


def test_queue_depth_is_what_waits_for_the_database(launch, postgres):
    database = postgres.create_database()
    server = launch(storage_url=postgres.url(database), settings={"workers": 1})
    blocker = psycopg2.connect(postgres.url(database))
    try:
        blocker.cursor().execute("lock table messages")
        waiting = [socket.create_connection(("127.0.0.1", server.port), timeout=30)
                   for _ in range(5)]
        for s in waiting:
            s.sendall(http_request(message()))
        wait_for(lambda: value(server, "storage_queue_depth") == 5, "the queue")
        assert value(server, "http_active_requests") == 5
    finally:
        blocker.close()
    for s in waiting:
        assert b'"status":"success"' in receive_all(s)
        s.close()
    wait_for(lambda: value(server, "storage_queue_depth") == 0, "the queue to empty")
    wait_for(lambda: value(server, "http_active_requests") == 0, "the requests' end")
