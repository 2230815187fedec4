--- The decision points, in the order in which people read about them.
return { "failover", "placement", "instance", "rollout", "sync", "heal", "backup", "retention", "notify" }
