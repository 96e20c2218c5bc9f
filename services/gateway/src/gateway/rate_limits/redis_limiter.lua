-- Decides about requests, each with charges on token buckets; see buckets.py.
-- KEYS: the buckets of all charges, each once. A value is the time when the bucket is full, or
-- the end of a block, negative.
-- ARGV: the number of requests, then for each the number of its charges and five numbers a
-- charge: index in KEYS, emission, capacity, cost, block. Times are in microseconds.
-- Returns four numbers a request: index of the charge that decides, whether it is allowed (1),
-- the time until its bucket is full, the time to wait if it is refused.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local full_at = {}
for index, value in ipairs(redis.call('MGET', unpack(KEYS))) do
    full_at[index] = value and tonumber(value) or 0
end
local changed = {}
local answer = {}
local position = 2
for _ = 1, tonumber(ARGV[1]) do
    local count = tonumber(ARGV[position])
    position = position + 1
    local charges = {}
    local refused, longest = nil, 0
    for number = 1, count do
        local charge = {
            index = tonumber(ARGV[position]),
            emission = tonumber(ARGV[position + 1]),
            capacity = tonumber(ARGV[position + 2]),
            cost = tonumber(ARGV[position + 3]),
            block = tonumber(ARGV[position + 4]),
        }
        position = position + 5
        charges[number] = charge
        local stored = full_at[charge.index]
        charge.blocked = stored < 0 and -stored > now
        if charge.blocked then
            stored = charge.capacity - charge.emission - stored
        end
        charge.level = math.max(stored, now)
        charge.next = charge.level + charge.emission * charge.cost
        local needed = charge.cost == 0 and charge.level + charge.emission or charge.next
        local wait = needed - now - charge.capacity
        if charge.cost >= 0 and wait > longest then
            refused, longest = number, wait
        end
    end
    local decisive, least = 1, nil
    for number, charge in ipairs(charges) do
        if not refused then
            charge.level = math.max(charge.next, now)
            full_at[charge.index] = charge.level
            changed[charge.index] = true
        end
        local remaining = (now + charge.capacity - charge.level) / charge.emission
        if not least or remaining < least then
            decisive, least = number, remaining
        end
    end
    if refused then
        decisive = refused
        local charge = charges[refused]
        if charge.block > longest and not charge.blocked then
            longest = charge.block
            charge.level = now + charge.block + charge.capacity - charge.emission
            full_at[charge.index] = -(now + charge.block)
            changed[charge.index] = true
        end
    end
    answer[#answer + 1] = decisive
    answer[#answer + 1] = refused and 0 or 1
    answer[#answer + 1] = charges[decisive].level - now
    answer[#answer + 1] = longest
end
for index in pairs(changed) do
    local left = math.ceil((math.abs(full_at[index]) - now) / 1000)
    if left > 0 then
        redis.call('SET', KEYS[index], string.format('%.0f', full_at[index]), 'PX', left)
    else
        redis.call('DEL', KEYS[index])
    end
end
return answer
