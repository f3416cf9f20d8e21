-- wrk: GETs a path. Arguments: path; for "{offset}" in it the first one, how many, and the step between.
dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "report.lua")

local prepared = {}
local turn = 0

function init(args)
  local first, count, step = tonumber(args[2]), tonumber(args[3]), tonumber(args[4])
  math.randomseed(os.time())
  for index = 1, 512 do
    local offset = first + step * math.random(0, count - 1)
    prepared[index] = wrk.format("GET", (args[1]:gsub("{offset}", string.format("%d", offset))))
  end
end

function request()
  turn = turn % #prepared + 1
  return prepared[turn]
end
