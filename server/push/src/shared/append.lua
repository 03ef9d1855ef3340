-- Appends a change to a room's feed if the feed is where its writer believes it to be, and
-- tells everybody; else it writes nothing and answers with what the writer misses.
-- Or begins a new epoch, on the same condition.
-- KEYS: head, events, tombstones, marks
-- ARGV: see `Append::invocation`
local head = redis.call('HMGET', KEYS[1], 'tag', 'epoch', 'rev', 'last')
local tag = head[1] or ''
if tag ~= ARGV[1] then
  return {0, read(ARGV[19], ARGV[20], ARGV[21])}
end
local epoch, rev, last = head[2], tonumber(head[3] or '0'), tonumber(head[4] or '0')
if ARGV[17] == '1' or not head[1] then
  redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
  epoch, rev, last = ARGV[3], 0, 0
end
rev = rev + 1
local before = number(last)
local news = {field(ARGV[18]), field(epoch), field(number(rev)), field(before), field(tag), field(ARGV[2]), field(ARGV[13])}
local at = 21
for i = 1, tonumber(ARGV[14]) do
  redis.call('ZADD', KEYS[3], rev, ARGV[at + i])
end
at = at + tonumber(ARGV[14])
for i = 1, tonumber(ARGV[15]) do
  redis.call('RPUSH', KEYS[4], ARGV[at + i])
end
at = at + tonumber(ARGV[15])
for i = 1, tonumber(ARGV[16]) do
  last = last + 1
  redis.call('XADD', KEYS[2], number(last) .. '-0', 'e', ARGV[at + i])
  news[#news + 1] = field(ARGV[at + i])
end
redis.call('HSET', KEYS[1], 'tag', ARGV[2], 'epoch', epoch, 'rev', number(rev), 'last', number(last),
  'accepted', ARGV[7], 'shown', ARGV[8], 'folded', ARGV[9], 'suppressed', ARGV[10])
if ARGV[11] ~= '' then redis.call('HSET', KEYS[1], 'state', ARGV[11]) end
if ARGV[12] ~= '' then redis.call('HSET', KEYS[1], 'lotteries', ARGV[12]) end
-- What is too old for its writer is too old for everybody.
redis.call('XTRIM', KEYS[2], 'MINID', ARGV[5] .. '-0')
redis.call('XTRIM', KEYS[2], 'MAXLEN', ARGV[6])
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -10001)
redis.call('LTRIM', KEYS[4], -512, -1)
redis.call('EXPIRE', KEYS[1], 2592000)
redis.call('EXPIRE', KEYS[2], 86400)
redis.call('EXPIRE', KEYS[3], 86400)
redis.call('EXPIRE', KEYS[4], 86400)
redis.call('PUBLISH', ARGV[4], table.concat(news))
return {1, number(rev), before}
