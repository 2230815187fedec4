---@meta
--- What each decision point asks, and what it takes for an answer. Made by scripts/meta/generate.lua.

---@class failover.input
---@field cluster cluster the cluster
---@field candidates failover.candidate[] the replicas that may be promoted at all
---@field now integer the time
---@field reason string why there is a failover
---@field params table the parameters of the policy

---@class failover.promote
---@field action "promote"
---@field target? string the first of the order; absent when the order is empty
---@field order string[] names, best first; an empty one is no preference
---@field message? string for people

---@class failover.hold
---@field action "hold"
---@field reason string one word that begins with a capital
---@field message? string for people
---@field until_s integer for how many seconds
---@field at? integer made by the core: now + until_s

---@class cluster
---@field name string its name
---@field namespace string its namespace
---@field instances integer how many instances it shall have
---@field labels table<string, string> its labels

---@class failover.candidate
---@field name string name of the instance
---@field zone? string zone of its node, where that is known
---@field node? string its node
---@field sync boolean a commit may have waited for it: it is in the synchronous set
---@field timeline integer its timeline
---@field flush_lsn string up to where its log is on disk
---@field replay_lag integer bytes of log that it lacks, next to the candidate that has most
---@field ready boolean its pod is ready
---@field priority? integer always 0 in this version; higher is sooner

---@class placement.input
---@field cluster cluster the cluster
---@field instance placement.instance the instance
---@field zones string[] names of the zones that have a ready node
---@field nodes placement.node[] the nodes
---@field now integer the time
---@field params table the parameters of the policy

---@class placement.place
---@field node_selector? table<string, string> labels that the node must have
---@field required? placement.required[] what the node must fulfil
---@field preferred? placement.preferred[] wishes
---@field spread? placement.spread[] how instances are spread

---@class placement.reject
---@field action "reject"
---@field reason string one word that begins with a capital
---@field message? string for people

---@class placement.instance
---@field name string its name
---@field ordinal integer 1 is the first
---@field is_new boolean it has no volume yet

---@class placement.node
---@field name string its name
---@field zone? string its zone, where that is known
---@field ready boolean it is ready
---@field schedulable boolean it is not being drained
---@field labels? table<string, string> its labels, the first 32 by name; absent where those of all nodes are too many

---@class placement.required
---@field node placement.term a rule

---@class placement.preferred
---@field weight integer how much it counts
---@field node placement.term a rule

---@class placement.spread
---@field key string label of nodes
---@field max_skew integer by how much zones may differ
---@field when_unsatisfiable "DoNotSchedule"|"ScheduleAnyway" a must, or a wish

---@class placement.term
---@field key string label of nodes
---@field op "In"|"NotIn"|"Exists"|"DoesNotExist"|"Gt"|"Lt" as in a pod's node affinity
---@field values? string[] none for Exists and DoesNotExist, one for Gt and Lt

---@class instance.input
---@field cluster cluster the cluster
---@field instance instance.instance the instance
---@field parameters table<string, string> spec.postgresql.parameters
---@field resources instance.resources spec.resources
---@field now integer the time, to the hour
---@field params table the parameters of the policy

---@class instance.shape
---@field parameters? table<string, string|number|boolean> parameters of PostgreSQL, over those of the Cluster
---@field resources? instance.resources instead of spec.resources

---@class instance.instance
---@field name string its name
---@field ordinal integer 1 is the first
---@field role "primary"|"replica"|"none"
---@field zone? string zone of its node, where that is known
---@field node? string its node

---@class instance.resources
---@field requests? table<string, string|integer> as in a container
---@field limits? table<string, string|integer> as in a container

---@class rollout.input
---@field cluster cluster the cluster
---@field reason string what changed
---@field urgent boolean the Cluster is annotated moonherd.io/urgent-update
---@field pending rollout.pending[] instances that wait for their restart, in the order that the core would take
---@field updated rollout.updated[] instances that run the new way
---@field baseline rollout.baseline how the cluster did before; empty in this version
---@field fleet rollout.restart[] restarts under way in other clusters of the operator
---@field started_at integer when the change was first seen
---@field last_change integer when an instance was last restarted for it; 0 for never
---@field can_roll_back boolean the version before is known and works with the data; never in this version
---@field primary_method "restart"|"switchover" spec.primaryUpdateMethod, or restart where the role must not move
---@field now integer the time
---@field params table the parameters of the policy

---@class rollout.update
---@field action "update"
---@field target string name of a pending instance
---@field method "restart"|"switchover"
---@field message? string for people

---@class wait
---@field action "wait"
---@field reason string one word that begins with a capital
---@field message? string for people
---@field at integer when to ask again

---@class rollout.rollback
---@field action "rollback"
---@field reason string one word that begins with a capital
---@field message? string for people

---@class rollout.finish
---@field action "finish"
---@field reason string one word that begins with a capital

---@class rollout.pending
---@field name string name of the instance
---@field role "replica"|"primary"
---@field zone? string zone of its node, where that is known
---@field node? string its node
---@field safe boolean it may be restarted now without taking the cluster down

---@class rollout.updated
---@field name string name of the instance
---@field role "replica"|"primary"
---@field zone? string zone of its node, where that is known
---@field ready boolean it is well
---@field updated_at integer when it was restarted
---@field crashes integer how often PostgreSQL and its manager crashed in its pod
---@field replay_lag integer bytes of log that it still has to replay
---@field p99_ms? number 99th percentile of its statements

---@class rollout.baseline
---@field p99_ms? number 99th percentile of statements

---@class rollout.restart
---@field namespace string
---@field cluster string
---@field name string
---@field zone? string zone of its node, where that is known

---@class sync.input
---@field cluster cluster the cluster
---@field primary place the primary
---@field candidates sync.replica[] the replicas that may be in the set
---@field required integer how many of them a commit waits for
---@field method "any"|"first" spec.postgresql.synchronous.method
---@field durability "required"|"preferred" spec.postgresql.synchronous.dataDurability
---@field now integer the time
---@field params table the parameters of the policy

---@class sync.sync
---@field names string[] the set; with method first the order counts
---@field message? string for people

---@class place
---@field name string name of the instance
---@field zone? string zone of its node, where that is known
---@field node? string its node

---@class sync.replica
---@field name string name of the instance
---@field zone? string zone of its node, where that is known
---@field node? string its node
---@field streaming boolean it is connected to the primary
---@field member boolean it is in the set now
---@field flush_lag integer bytes of log that it has not on disk yet

---@class heal.input
---@field cluster cluster the cluster
---@field instance heal.broken the broken one
---@field problem "crashing"|"diverged"|"wal_missing"|"disk_full"|"not_starting"|"node_lost"|"unknown" what is wrong
---@field since integer since when
---@field attempts heal.attempt[] what was tried since then, oldest first
---@field healthy integer other instances that are well
---@field steps ("restart"|"rewind"|"reclone"|"recreate")[] what is safe now
---@field now integer the time
---@field params table the parameters of the policy

---@class heal.heal
---@field action "heal"
---@field step "restart"|"rewind"|"reclone"|"recreate"
---@field message? string for people

---@class heal.broken
---@field name string its name
---@field zone? string zone of its node, where that is known
---@field node? string its node
---@field size? integer bytes on its volume

---@class heal.attempt
---@field step "restart"|"rewind"|"reclone"|"recreate"
---@field at integer when it began
---@field message? string how it ended

---@class backup.input
---@field cluster cluster the cluster
---@field due_at integer when it was due
---@field requested boolean a person asked for it
---@field target "prefer-standby"|"primary" spec.backup.target
---@field instances backup.source[] all instances
---@field running integer backups under way in this cluster
---@field running_elsewhere integer backups under way in other clusters of the operator
---@field last_at integer when the last good one was complete; 0 for never
---@field wal_since integer bytes of log since then
---@field now integer the time
---@field params table the parameters of the policy

---@class backup.start
---@field action "backup"
---@field from string name of an instance that is ready
---@field message? string for people

---@class backup.source
---@field name string name of the instance
---@field role "replica"|"primary"
---@field zone? string zone of its node, where that is known
---@field node? string its node
---@field ready boolean it is well
---@field replay_lag integer bytes of log that it still has to replay
---@field connections? integer clients that are connected

---@class retention.input
---@field cluster cluster the cluster
---@field backups retention.backup[] the completed ones, newest first
---@field window? integer spec.backup.retentionPolicy in seconds
---@field now integer the time
---@field params table the parameters of the policy

---@class retention.retain
---@field keep table<string, string> id to the reason why it stays
---@field expire string[] ids of those that may be deleted

---@class retention.backup
---@field id string its id
---@field name? string the Backup object, where there is one
---@field finished_at integer when it was complete
---@field size? integer bytes in the store
---@field pinned boolean somebody said that it stays (moonherd.io/pinned)
---@field chain? string[] ids of the backups that this one needs

---@class notify.input
---@field cluster cluster the cluster
---@field events notify.event[] what happened, oldest first
---@field targets string[] names of the configured targets
---@field recent notify.sent[] what was sent in the last hour, oldest first
---@field now integer the time
---@field params table the parameters of the policy

---@class notify.notify
---@field messages notify.message[] what is sent; an empty list: nothing

---@class notify.event
---@field type "Normal"|"Warning"
---@field reason string as in kubectl get events
---@field message string as in kubectl get events
---@field count integer how often it came
---@field at integer when

---@class notify.sent
---@field target string to whom
---@field key string the key of the message
---@field at integer when

---@class notify.message
---@field target string name of a target
---@field key string what it is about, for `recent`
---@field title string one line
---@field text? string the message; lines are allowed
---@field severity? "info"|"warning"|"critical"
