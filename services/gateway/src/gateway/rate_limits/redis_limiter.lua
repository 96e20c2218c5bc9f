-- Decides about requests, each with charges on token buckets; see buckets.py.
-- KEYS: the buckets of all charges, each once. A value is the time when the bucket is full, or
-- the end of a block, negative.
-- ARGV[1]: JSON, as one text because clients encode a long list of numbers slowly. Its `limits`
-- are [emission, capacity, block], in microseconds. Its `requests` are lists of three numbers
-- a charge: index in KEYS, index in `limits`, cost.
-- Returns JSON, four numbers a request: index of the charge that decides, whether the request
-- is allowed (1), the time until that bucket is full, the time to wait if it is refused.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local full_at = {}
for index, value in ipairs(redis.call('MGET', unpack(KEYS))) do
    full_at[index] = value and tonumber(value) or 0
end
local changed = {}
local answer = {}
local batch = cjson.decode(ARGV[1])
for _, request in ipairs(batch.requests) do
    local charges = {}
    local refused, longest = nil, 0
    for number = 1, #request / 3 do
        local limit = batch.limits[request[3 * number - 1]]
        local charge = {
            index = request[3 * number - 2],
            emission = limit[1],
            capacity = limit[2],
            block = limit[3],
            cost = request[3 * number],
        }
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
    answer[#answer + 1] = math.floor(charges[decisive].level - now)
    answer[#answer + 1] = math.floor(longest)
end
for index in pairs(changed) do
    local left = math.ceil((math.abs(full_at[index]) - now) / 1000)
    if left > 0 then
        redis.call('SET', KEYS[index], string.format('%.0f', full_at[index]), 'PX', left)
    else
        redis.call('DEL', KEYS[index])
    end
end
return cjson.encode(answer)
