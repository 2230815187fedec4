--- Each state of a policy; what it must never touch or delay.
local claims = require("claims")
local sh = require("sh")

claims.run("life", { LIFE_ON = "lab", LIFE_EXEC = sh.lab .. " exec" })
