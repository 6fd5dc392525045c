-- SPDX-License-Identifier: MIT
-- One decision on a token bucket that all who use the same key share. The clock is Redis' own.
-- KEYS[1]: the bucket. ARGV: tokens a minute, burst, how many are wanted.
-- Answers {given, left, fraction}; fraction of the next token, in units of which it costs 60e6.
local token = 60000000
local per_minute, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'fraction', 'at')
local tokens = tonumber(kept[1]) or burst
local fraction = tonumber(kept[2]) or 0
local at = tonumber(kept[3]) or now

-- A clock that was set back, or another server's, earns nothing, and counts from where it is.
if now > at then
  local earned = (now - at) * per_minute + fraction
  tokens = tokens + math.floor(earned / token)
  fraction = earned % token
end
if tokens >= burst then
  tokens, fraction = burst, 0
end

local given = math.min(wanted, tokens)
tokens = tokens - given
redis.call('HSET', KEYS[1], 'tokens', string.format('%.0f', tokens),
  'fraction', string.format('%.0f', fraction), 'at', string.format('%.0f', now))
-- A full bucket is as good as none.
local full_ms = math.ceil(((burst - tokens) * token - fraction) / per_minute / 1000)
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', full_ms + 1000))
return {given, tokens, fraction}
