-- SPDX-License-Identifier: MIT
-- wrk script: posts a message of SIZE bytes, each with a Message-ID and a body line of its own.
local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(args)
  local size, token = tonumber(args[1]), args[2]
  sent = 0
  run = tostring(os.time())
  headers = {
    ["Authorization"] = "Bearer " .. token,
    ["Content-Type"] = "message/rfc822",
    ["X-Original-Sender"] = "alice@example.org",
    ["X-Original-Recipient"] = "bob@example.com",
    ["X-Original-Client-Address"] = "192.0.2.1",
  }
  head = "Received: from mx.example.org (mx.example.org [192.0.2.1])\r\n" ..
    "\tby mail.example.com (Postfix) with ESMTPS id 4ABCDEF\r\n" ..
    "\tfor <bob@example.com>; Fri, 2 Jan 2026 03:04:05 +0000 (UTC)\r\n" ..
    "From: Alice Example <alice@example.org>\r\nTo: Bob <bob@example.com>\r\n" ..
    "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from the bench\r\nDate: Fri, 2 Jan 2026 03:04:05 +0000\r\n" ..
    "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b1\"\r\n"
  local text = string.rep("A line of text as people write it, seventy or so characters long.\r\n",
    math.floor(size / 3 / 67))
  local rest = math.floor((size - #head - #text - 500) / 78)
  local attachment = string.rep(string.rep("QUJD", 19) .. "\r\n", math.max(rest, 1))
  tail = "\r\n--b1\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" .. text ..
    "\r\n--b1\r\nContent-Type: application/pdf; name=\"x.pdf\"\r\n" ..
    "Content-Disposition: attachment; filename=\"x.pdf\"\r\n" ..
    "Content-Transfer-Encoding: base64\r\n\r\n" .. attachment .. "--b1--\r\n"
end

function request()
  sent = sent + 1
  local id = run .. "." .. number .. "." .. sent
  local body = head .. "Message-ID: <" .. id .. "@example.org>\r\n" .. tail
  return wrk.format("POST", "/mail/inbound", headers, body)
end

function done(summary, latency)
  io.write(string.format("RESULT %d %d %d %d %d %d\n", summary.requests, summary.duration,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write +
    summary.errors.timeout, latency:percentile(50), latency:percentile(99), latency.max))
end
