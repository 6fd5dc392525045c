-- SPDX-License-Identifier: MIT
-- wrk script: posts messages of exactly SIZE bytes, each with a Message-ID of its own.
--
-- wrk … -s post.lua URL -- SIZE TOKEN RUN: no two runs on a database may have the same RUN.
-- Prints `RESULT requests duration_us errors p50_us p99_us max_us`.
local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

-- Text must compress as people's does (by about a half), or the database would have it too easy:
-- common words, the commoner ones more often.
local words = {}
for word in ([[the of and to a in that is was it for on with as be at by this had not are but from or
  have an they which one you were all her she there would their we him been has when who will no
  more if out so up said what its about than into them can only other time new some could these two
  may first then do any like my now over such our man me even most made after also did many off
  before must well back through years much where your way down should because long each just state
  people those too how little good world make very year still see own work men day get here
  between both life being under three never know same last another while us might great old since
  against go came right used take himself few house american use place during high without again
  home around small however found thought went say part once general upon school every don't does
  got united left number course war until always away something fact water though less public put
  think almost hand enough far took head yet better set told nothing night end why called didn't
  eyes find going look asked later knew point next program city business give group toward young
  days let room within side social given present several order national possible rather second face
  per among form often early important things looked large white case John became big need four
  problem along best Monday invoice regards attached meeting Tuesday please delivery thanks order
  customer shipping account receipt Thursday update review schedule]]):gmatch("%S+") do
  words[#words + 1] = word
end

local function text(bytes)
  local lines, length, line = {}, 0, ""
  while length < bytes do
    local word = words[math.floor(#words * math.random() ^ 2) + 1]
    if #line + #word > 70 then
      lines[#lines + 1] = line
      length = length + #line + 2
      line = word
    else
      line = line == "" and word or line .. " " .. word
    end
  end
  return (table.concat(lines, "\r\n"):sub(1, bytes):gsub("\r$", "."))
end

local function base64_lines(count)
  local digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  local lines = {}
  for number = 1, count do
    local line = {}
    for column = 1, 76 do
      local at = math.random(#digits)
      line[column] = digits:sub(at, at)
    end
    lines[number] = table.concat(line) .. "\r\n"
  end
  return table.concat(lines)
end

function init(args)
  local size, token, run = tonumber(args[1]), args[2], args[3]
  math.randomseed(size)
  sent = 0
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
    "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b1\"\r\nMessage-ID: <" .. run .. "."
  local before = "@example.org>\r\n\r\n--b1\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
  local after = "\r\n--b1\r\nContent-Type: application/pdf; name=\"x.pdf\"\r\n" ..
    "Content-Disposition: attachment; filename=\"x.pdf\"\r\n" ..
    "Content-Transfer-Encoding: base64\r\n\r\n"
  local last = "--b1--\r\n"
  -- A third is text, and what whole lines of the attachment leave over.
  local rest = size - #head - #id(0) - #before - #after - #last
  local attachment = base64_lines(math.floor(rest * 2 / 3 / 78))
  tail = before .. text(rest - #attachment) .. after .. attachment .. last
end

function id(count)
  return string.format("%d.%09d", number, count)
end

function request()
  sent = sent + 1
  return wrk.format("POST", "/mail/inbound", headers, head .. id(sent) .. tail)
end

function done(summary, latency)
  io.write(string.format("RESULT %d %d %d %d %d %d\n", summary.requests, summary.duration,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write +
    summary.errors.timeout, latency:percentile(50), latency:percentile(99), latency.max))
end
