--- Nobody gains a right through a plugin, with the webhook there and with it gone.
local claims = require("claims")
local sh = require("sh")

claims.run("needs", { NEEDS_ON = "lab", NEEDS_EXEC = sh.lab .. " exec" })
