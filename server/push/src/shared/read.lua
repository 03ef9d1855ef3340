-- What follows in files that are put behind this one.
local function number(n) return string.format('%.0f', n) end
local function field(s) return struct.pack('<I4', #s) .. s end
-- Where a feed is now, and what a reader misses that knows this epoch up to event `after`
-- and change `rev`. The events begin with `after` itself, if it is there. At most 1,000.
local function read(epoch, after, rev)
  local h = redis.call('HMGET', KEYS[1], 'epoch', 'rev', 'last', 'tag',
    'accepted', 'shown', 'folded', 'suppressed', 'state', 'lotteries')
  if not h[1] then return {{}, {}, {}, {}} end
  h[9], h[10] = h[9] or '', h[10] or ''
  local from, marks = after, {}
  if h[1] ~= epoch then
    from, rev = '-', '0'
    marks = redis.call('LRANGE', KEYS[4], 0, -1)
  end
  local events = {}
  for _, entry in ipairs(redis.call('XRANGE', KEYS[2], from, '+', 'COUNT', 1000)) do
    events[#events + 1] = entry[1]
    events[#events + 1] = entry[2][2]
  end
  return {h, events, redis.call('ZRANGEBYSCORE', KEYS[3], '(' .. rev, '+inf'), marks}
end
