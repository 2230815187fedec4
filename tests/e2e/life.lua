--- Each state of a policy; what it must never touch or delay.
local claims = require("claims")
local sh = require("sh")

-- A failover takes longer here than in the sandbox, where five of each kind are measured.
local count = os.getenv("MH_TEST_FULL") and "5" or "1"
claims.run("life", { LIFE_ON = "lab", LIFE_EXEC = sh.lab .. " exec", KILLED_COUNT = count })
