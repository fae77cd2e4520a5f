// The arithmetic of `core/bucket` in the server's Lua, whose numbers are the same doubles: every function here is the one of its name there, over all
// algorithms, and the conformance suite compares them. A bucket `s` has its algorithm (`kind`, `a` its bound, `b`, `c`, `d`; see pack.ts) and its numbers `n`,
// which are counted from 1. Never is said as -1.

export const bucketScript: string = `
local floor, ceil, max, min, fmod = math.floor, math.ceil, math.max, math.min, math.fmod
local TOKENS, LOG, SLIDING, FIXED, CALENDAR, HELD, BAN = 1, 2, 3, 4, 5, 6, 7

local function sizeOf(s)
  local kind = s.kind
  if kind == TOKENS or kind == FIXED or kind == CALENDAR then return 2 end
  if kind == LOG then return s.c + 1 end
  if kind == SLIDING then return 19 end
  if kind == BAN then return 4 end
  return 1
end

local function tickAt(s, now)
  if s.d == 1 then return now end
  return floor(now / s.d)
end

local function missing(s, tick)
  local before = s.n[1]
  local elapsed = tick - s.n[2]
  if elapsed <= 0 then return before end
  if elapsed >= before / s.c then return 0 end
  return before - elapsed * s.c
end

local function back(s, index)
  local place = s.n[1] + index
  if place >= s.c then place = place - s.c end
  return s.n[2 + place]
end

local function countBack(s, now)
  local ring = s.c
  if back(s, 0) > now then return 0 end
  if back(s, ring - 1) <= now then return ring end
  local low, high = 1, ring - 1
  while low < high do
    local middle = floor((low + high) / 2)
    if back(s, middle) <= now then low = middle + 1 else high = middle end
  end
  return low
end

local function logTime(s, now)
  return max(now, back(s, s.c - 1) - s.b)
end

local function sliceAt(s, now)
  return max(floor(now / s.b), s.n[1])
end

local function countAt(s, slice)
  local n = s.n
  local last = n[1]
  if slice - last >= 17 then return 0 end
  local count = n[2]
  for gone = last + 1, slice do count = count - n[3 + fmod(gone, 17)] end
  return count
end

local function advance(s, slice)
  local n = s.n
  local last = n[1]
  if slice == last then return end
  n[2] = countAt(s, slice)
  for gone = max(last + 1, slice - 16), slice do n[3 + fmod(gone, 17)] = 0 end
  n[1] = slice
end

local function countIn(s, open)
  if open then return s.n[2] end
  return 0
end

local function isOpen(s, now)
  if s.kind == FIXED then return now < s.n[1] end
  return s.b <= s.n[1]
end

local function banTime(s, now)
  return max(now, s.n[2])
end

local function offencesAt(s, time)
  if time < s.n[2] + s.b then return s.n[1] end
  return 0
end

local function halved(s, length)
  if length >= 2 * s.c then return floor(length / 2) end
  return 0
end

local function lengthAt(s, time)
  local length, quiet = s.n[3], time - s.n[4]
  while length > 0 and quiet >= length do
    quiet = quiet - length
    length = halved(s, length)
  end
  return length
end

local function available(s, now)
  local kind = s.kind
  if kind == TOKENS then
    return floor((s.a * s.b - missing(s, tickAt(s, now))) / s.b)
  elseif kind == LOG then
    return s.a - (s.c - countBack(s, logTime(s, now)))
  elseif kind == SLIDING then
    return s.a - countAt(s, sliceAt(s, now))
  elseif kind == HELD then
    return s.a - s.n[1]
  elseif kind == BAN then
    local time = banTime(s, now)
    if time < s.n[4] then return 0 end
    return max(1, s.a - offencesAt(s, time))
  end
  return s.a - countIn(s, isOpen(s, now))
end

local function take(s, now, cost)
  local n, kind = s.n, s.kind
  if kind == TOKENS then
    local tick = max(tickAt(s, now), n[2])
    local most = 2 * s.a
    local before = missing(s, tick)
    n[1] = max(before, min(before + min(cost, most) * s.b, most * s.b))
    n[2] = tick
    return tick * s.d
  elseif kind == LOG then
    local ring = s.c
    local time = logTime(s, now)
    local oldest = n[1]
    for _ = 1, min(cost, ring) do
      n[2 + oldest] = time + s.b
      oldest = oldest + 1
      if oldest == ring then oldest = 0 end
    end
    n[1] = oldest
    return time
  elseif kind == SLIDING then
    local slice = sliceAt(s, now)
    advance(s, slice)
    local taken = max(0, min(cost, 2 * s.a - n[2]))
    n[2] = n[2] + taken
    local slot = 3 + fmod(slice, 17)
    n[slot] = n[slot] + taken
    return slice * s.b
  elseif kind == BAN then
    local time = banTime(s, now)
    if cost == 0 or time < n[4] then return time end
    local before = offencesAt(s, time)
    if before + cost >= s.a then
      local length = min(max(2 * lengthAt(s, time), s.c), s.d)
      n[1], n[2], n[3], n[4] = 0, 0, length, time + length
    else
      n[1] = before + cost
      if before == 0 then n[2] = time end
    end
    return time
  end
  if cost == 0 then return n[1] end
  local open = isOpen(s, now)
  local count = countIn(s, open)
  n[2] = max(count, min(count + cost, 2 * s.a))
  if not open then
    if kind == FIXED then n[1] = now + s.b else n[1] = s.b end
  end
  return n[1]
end

local function earliest(s, now, cost)
  if cost > s.a then return -1 end
  local n, kind = s.n, s.kind
  if kind == TOKENS then
    local tick = tickAt(s, now)
    local lacking = missing(s, tick) - (s.a - cost) * s.b
    if lacking <= 0 then return now end
    return (max(tick, n[2]) + ceil(lacking / s.c)) * s.d
  elseif kind == LOG then
    local index = s.c - s.a + cost - 1
    if index < 0 then return now end
    local comesBack = back(s, index)
    if comesBack <= logTime(s, now) then return now end
    return comesBack
  elseif kind == SLIDING then
    local slice = sliceAt(s, now)
    local lacking = cost - (s.a - countAt(s, slice))
    if lacking <= 0 then return now end
    for old = max(slice - 16, 0), n[1] do
      lacking = lacking - n[3 + fmod(old, 17)]
      if lacking <= 0 then return (old + 17) * s.b end
    end
    return -1
  elseif kind == HELD then
    if s.a - n[1] >= cost then return now end
    return -1
  end
  if available(s, now) >= cost then return now end
  if kind == BAN then
    if banTime(s, now) < n[4] then return n[4] end
    return n[2] + s.b
  end
  return n[1]
end

local function refund(s, now, cost, taken)
  local n, kind = s.n, s.kind
  if kind == TOKENS then
    local tick = max(tickAt(s, now), n[2])
    n[1] = max(missing(s, tick) - min(cost, 2 * s.a) * s.b, 0)
    n[2] = tick
  elseif kind == LOG then
    local ring = s.c
    local comesBack = taken + s.b
    local last = ring - 1
    while last >= 0 and back(s, last) > comesBack do last = last - 1 end
    local count = 0
    while count < cost and last - count >= 0 and back(s, last - count) == comesBack do count = count + 1 end
    for index = last, 0, -1 do
      local from = 0
      if index >= count then from = back(s, index - count) end
      n[2 + fmod(n[1] + index, ring)] = from
    end
  elseif kind == SLIDING then
    local slice = sliceAt(s, now)
    advance(s, slice)
    local old = floor(taken / s.b)
    if old > slice or old < slice - 16 then return end
    local slot = 3 + fmod(old, 17)
    local given = min(cost, n[slot])
    n[slot] = n[slot] - given
    n[2] = n[2] - given
  elseif kind == FIXED or kind == CALENDAR then
    if n[1] ~= taken then return end
    n[2] = max(n[2] - cost, 0)
    if n[2] == 0 then n[1] = 0 end
  end
end

-- From when on it says the same as one that nobody has used, or after; leases that end without their holder are used at their ends.
local function idleFrom(s, now)
  local n, kind = s.n, s.kind
  local units, ends = 0, 0
  if #s.leases > 0 then for _, lease in ipairs(s.leases) do
    units = units + lease.units
    ends = max(ends, lease.ends)
  end end
  if kind == TOKENS then
    local tick = max(tickAt(s, now), n[2])
    if ends == 0 and missing(s, tick) == 0 then return now end
    return max(tick * s.d, ends) + ceil((missing(s, tick) + min(units, 2 * s.a) * s.b) / s.c) * s.d + s.d
  elseif kind == LOG then
    local last = back(s, s.c - 1)
    if ends == 0 then return last end
    return max(last, ends) + s.b
  elseif kind == SLIDING then
    if ends == 0 and n[2] == 0 then return now end
    return max((n[1] + 17) * s.b, ends + 17 * s.b)
  elseif kind == FIXED then
    if ends == 0 then return n[1] end
    return max(n[1], ends + s.b)
  elseif kind == CALENDAR then
    if ends == 0 and n[2] == 0 then return now end
    -- The asker's clock says when its window ends, and it may be behind.
    return max(n[1], s.b, ends, now) + 3600000000
  elseif kind == BAN then
    local from, length = n[4], n[3]
    while length > 0 do
      from = from + length
      length = halved(s, length)
    end
    if n[1] > 0 then from = max(from, n[2] + s.b) end
    if ends > 0 then from = max(from, ends) + s.b + 3 * s.d end
    return from
  end
  return ends
end
`
