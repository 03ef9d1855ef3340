-- Appends ended log-ins that are not there yet, and lets go of those that have expired.
-- KEYS: head, entries, sources
-- ARGV: epoch for a new one, now, epoch and number that the caller has seen, then source,
-- expiry and body of each
local epoch = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0')
local last = tonumber(redis.call('HGET', KEYS[1], 'last') or '0')
local seen_epoch, seen_last = tonumber(ARGV[3]), tonumber(ARGV[4])
if epoch == 0 or epoch < seen_epoch or (epoch == seen_epoch and last < seen_last) then
  -- What somebody has read is lost: its numbers must not be given again.
  epoch = math.max(tonumber(ARGV[1]), epoch + 1, seen_epoch + 1)
end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', ARGV[2])
for i = 5, #ARGV, 3 do
  if not redis.call('ZSCORE', KEYS[3], ARGV[i]) then
    last = last + 1
    redis.call('XADD', KEYS[2], string.format('%.0f-0', last), 'e', ARGV[i + 2], 'u', ARGV[i + 1])
    redis.call('ZADD', KEYS[3], ARGV[i + 1], ARGV[i])
  end
end
local entries = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 100)
for _, entry in ipairs(entries) do
  if tonumber(entry[2][4]) > tonumber(ARGV[2]) then break end
  redis.call('XDEL', KEYS[2], entry[1])
end
redis.call('HSET', KEYS[1], 'epoch', string.format('%.0f', epoch), 'last', string.format('%.0f', last))
redis.call('PUBLISH', KEYS[1], '')
return string.format('%.0f', epoch)
