-- wrk: GETs a path. Arguments: path, first and end of the range that "{offset}" in it is drawn from.
dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "report.lua")

local prepared = {}
local turn = 0

function init(args)
  local first, last = tonumber(args[2]), tonumber(args[3])
  math.randomseed(os.time())
  for index = 1, 512 do
    local offset = tostring(math.random(first, last - 1))
    prepared[index] = wrk.format("GET", (args[1]:gsub("{offset}", offset)))
  end
end

function request()
  turn = turn % #prepared + 1
  return prepared[turn]
end
