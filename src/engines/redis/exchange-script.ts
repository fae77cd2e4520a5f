// The act of `core/bucket/exchange.ts` as one script: reads each bucket once, decides the requests one after the other, writes each bucket once, with the
// time after which it may be forgotten. KEYS are the buckets in the order of the asks; ARGV[1] is what pack.ts writes, then come the holders.
// The answer is numbers: the server's time, then of each request whether it is allowed, its time, and four of each bucket.
import { bucketScript } from './bucket-script.ts'

/** A bucket is kept for so long after it may be forgotten: for a clock of the server that steps forth, since keys end by it. */
export const keptMs = 5_000

const actScript = `
local function begin(s, q)
  s.text = false
  if sizeOf(q) == 2 then s.n = { 0, 0 } return end
  s.n = {}
  for index = 1, sizeOf(q) do s.n[index] = 0 end
end

-- Tables are made with all of their fields at once: the server grows them dearly.
local none = {}
local function load(key)
  local text = redis.call('GET', key)
  if not text then
    return { key = key, stored = false, kind = false, time = 0, a = 0, b = 0, c = 0, d = 0, n = none, leases = none, text = false, from = 0 }
  end
  local kind, count, time, a, b, c, d, at = struct.unpack('<BHddddd', text)
  local s = { key = key, stored = true, kind = kind, time = time, a = a, b = b, c = c, d = d, n = none, leases = none, text = false, from = at }
  local size = sizeOf(s)
  if size == 2 then
    local first, second
    first, second, at = struct.unpack('<dd', text, at)
    s.n = { first, second }
  else
    -- Of many numbers few are looked at.
    local from = at
    at = from + 8 * size
    s.text = text
    s.n = setmetatable({}, { __index = function(_, index)
      return (struct.unpack('<d', text, from + 8 * index - 8))
    end })
  end
  if count > 0 then
    s.leases = {}
    for index = 1, count do
      local units, ends, holder
      units, ends, holder, at = struct.unpack('<dds', text, at)
      s.leases[index] = { units = units, ends = ends, holder = holder }
    end
  end
  return s
end

-- What was changed, between what was not.
local function numbersOf(s, size)
  local n, parts = s.n, {}
  if not s.text then
    for index = 1, size do parts[index] = struct.pack('<d', n[index]) end
    return table.concat(parts)
  end
  local changed = {}
  for index in pairs(n) do changed[#changed + 1] = index end
  table.sort(changed)
  local at = s.from
  for _, index in ipairs(changed) do
    local place = s.from + 8 * index - 8
    parts[#parts + 1] = string.sub(s.text, at, place - 1)
    parts[#parts + 1] = struct.pack('<d', n[index])
    at = place + 8
  end
  parts[#parts + 1] = string.sub(s.text, at, s.from + 8 * size - 1)
  return table.concat(parts)
end

local function save(s, raw)
  local from = idleFrom(s, s.time)
  -- What nobody has used needs not be kept.
  if not s.stored and from <= s.time and #s.leases == 0 then return end
  local n, size, text = s.n, sizeOf(s)
  if size == 2 then
    text = struct.pack('<BHddddddd', s.kind, #s.leases, s.time, s.a, s.b, s.c, s.d, n[1], n[2])
  else
    text = struct.pack('<BHddddd', s.kind, #s.leases, s.time, s.a, s.b, s.c, s.d) .. numbersOf(s, size)
  end
  if #s.leases > 0 then
    local parts = { text }
    for index, lease in ipairs(s.leases) do
      parts[index + 1] = struct.pack('<dds', lease.units, lease.ends, lease.holder)
    end
    text = table.concat(parts)
  end
  local ms = max(ceil((from - min(s.time, raw)) / 1000), 0) + ${keptMs}
  redis.call('SET', s.key, text, 'PX', string.format('%d', ms))
end

local function leftOf(s, now)
  local left = available(s, now)
  if s.leases == none then return left end
  for _, lease in ipairs(s.leases) do left = left - lease.units end
  return left
end

local function addLease(s, units, ends, holder)
  if s.leases == none then s.leases = {} end
  s.leases[#s.leases + 1] = { units = units, ends = ends, holder = holder }
end

local function endLeases(s, now)
  if s.leases == none then return end
  local ended, kept
  for _, lease in ipairs(s.leases) do
    if lease.ends <= now then ended = true end
  end
  if not ended then return end
  ended, kept = {}, {}
  for _, lease in ipairs(s.leases) do
    if lease.ends <= now then ended[#ended + 1] = lease else kept[#kept + 1] = lease end
  end
  s.leases = kept
  if s.kind == HELD then return end
  table.sort(ended, function(one, other) return one.ends < other.ends end)
  for _, lease in ipairs(ended) do take(s, lease.ends, lease.units) end
end

local function sameLayout(s, q)
  if s.kind ~= q.kind then return false end
  if s.kind == TOKENS then return s.b == q.b and s.d == q.d end
  if s.kind == LOG then return s.b == q.b and s.c == q.c end
  if s.kind == SLIDING or s.kind == FIXED then return s.b == q.b end
  return true
end

local function follow(s, q, now)
  local lacking = 0
  if not s.kind then
    begin(s, q)
  elseif not sameLayout(s, q) then
    lacking = s.a - available(s, now)
    begin(s, q)
  end
  s.kind, s.a, s.b, s.c, s.d = q.kind, q.a, q.b, q.c, q.d
  if lacking > 0 and s.kind ~= HELD then take(s, now, lacking) end
end

local function settle(s, q, holder, now)
  if s.kind then endLeases(s, now) end
  follow(s, q, now)
  local lease
  if s.leases ~= none then for index, one in ipairs(s.leases) do
    if one.holder == holder then
      lease = table.remove(s.leases, index)
      break
    end
  end end
  if s.kind == HELD then
    return min(q.used, max(lease and lease.units or 0, leftOf(s, now)))
  end
  local used = q.penalty
  if lease then used = used + min(q.used, lease.units) end
  if q.refund > 0 then refund(s, now, q.refund, q.refunded) end
  if used > 0 then take(s, now, used) end
  return 0
end

-- The same for what is asked most: one token bucket that nobody leases of, one cost. Nothing but numbers is made. False where it is another case.
local function decide(key, a, b, c, d, cost, now, raw, answer)
  local text = redis.call('GET', key)
  local lacks, last = 0, 0
  if text then
    if #text ~= 59 then return false end
    local kind, count, time, _, unit, _, tickUs, before, at = struct.unpack('<BHddddddd', text)
    if kind ~= TOKENS or count > 0 or unit ~= b or tickUs ~= d then return false end
    now, lacks, last = max(now, time), before, at
  end
  local tick = now
  if d ~= 1 then tick = floor(now / d) end
  local elapsed = tick - last
  if elapsed > 0 then
    if elapsed >= lacks / c then lacks = 0 else lacks = lacks - elapsed * c end
  else
    tick = last
  end
  local allowed = 0
  if cost <= 0 or cost <= floor((a * b - lacks) / b) then
    allowed = 1
    lacks = max(lacks, min(lacks + min(cost, 2 * a) * b, 2 * a * b))
  end
  local first = -1
  if cost <= a then
    local lacking = lacks - (a - cost) * b
    if lacking <= 0 then first = now else first = (tick + ceil(lacking / c)) * d end
  end
  if text or lacks > 0 then
    local ms = ${keptMs}
    if lacks > 0 then ms = ms + ceil(((tick + ceil(lacks / c) + 1) * d - min(now, raw)) / 1000) end
    redis.call('SET', key, struct.pack('<BHddddddd', TOKENS, 0, now, a, b, c, d, lacks, tick), 'PX', string.format('%d', ms))
  end
  local out = #answer
  answer[out + 1], answer[out + 2], answer[out + 3] = allowed, now, floor((a * b - lacks) / b)
  answer[out + 4], answer[out + 5], answer[out + 6] = 0, tick * d, first
  return true
end

local clock = redis.call('TIME')
local raw = clock[1] * 1000000 + clock[2]
local blob, at = ARGV[1], 1
local ceiling, count
ceiling, count, at = struct.unpack('<dd', blob, at)
local buckets, touched, answer = {}, {}, { raw }
local asks, states, own = {}, {}, {}
local place = 0

for _ = 1, count do
  local holder, leaseMs, size
  holder, leaseMs, size, at = struct.unpack('<ddd', blob, at)
  -- By whom costs are held in place of being taken, and how long; 0: nothing is.
  local by, byMs
  if size < 0 then
    size = -size
    by, byMs, at = struct.unpack('<dd', blob, at)
  end
  holder = ARGV[1 + holder]
  local now = min(raw, ceiling)
  local done = false
  if size == 1 and not by then
    local kind, a, b, c, d, used, cost, hold, penalty, back = struct.unpack('<dddddddddd', blob, at)
    local key = KEYS[place + 1]
    if kind == TOKENS and used + hold + penalty + back == 0 and not buckets[key] then
      done = decide(key, a, b, c, d, cost, now, raw, answer)
    end
  end
  if done then
    place, at = place + 1, at + 88
  else
    for index = 1, size do
      local kind, a, b, c, d, used, cost, hold, penalty, back, since
      kind, a, b, c, d, used, cost, hold, penalty, back, since, at = struct.unpack('<ddddddddddd', blob, at)
      local q = { kind = kind, a = a, b = b, c = c, d = d, used = used, cost = cost, hold = hold, penalty = penalty, refund = back, refunded = since }
      place = place + 1
      local key = KEYS[place]
      local s = buckets[key]
      if not s then
        s = load(key)
        buckets[key] = s
        touched[#touched + 1] = s
      end
      now = max(now, s.time)
      asks[index], states[index] = q, s
    end
    local allowed = by ~= 0
    for index = 1, size do
      local s = states[index]
      s.time = now
      own[index] = settle(s, asks[index], holder, now)
    end
    for index = 1, size do
      local cost = asks[index].cost
      if cost > 0 and cost > leftOf(states[index], now) - own[index] then allowed = false end
    end
    local out = #answer
    answer[out + 1] = allowed and 1 or 0
    answer[out + 2] = now
    for index = 1, size do
      local q, s = asks[index], states[index]
      local isHeld = s.kind == HELD
      local taken = allowed and s.kind ~= BAN and q.cost or 0
      local time, keeps = now, own[index]
      if isHeld then keeps = keeps + taken else time = take(s, now, by and 0 or taken) end
      if by and taken > 0 and not isHeld then addLease(s, taken, now + byMs * 1000, ARGV[1 + by]) end
      local left = leftOf(s, now)
      local held = keeps + max(0, min(q.hold, left - keeps))
      if held > 0 then addLease(s, held, now + leaseMs * 1000, holder) end
      local from = out + 4 * index - 1
      answer[from] = left - held
      answer[from + 1] = held
      answer[from + 2] = time
      answer[from + 3] = earliest(s, now, q.cost)
    end
  end
end

for _, s in ipairs(touched) do save(s, raw) end
return answer
`

export const script: string = bucketScript + actScript
