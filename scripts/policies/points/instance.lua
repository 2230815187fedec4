--- instance/v1. The form of this file is told in points/failover.lua.
return {
  point = "instance/v1",
  question = "What does one instance have that the others have not?",
  asked = "For each instance, whenever its cluster is looked at.",
  safe = "Parameters that may differ between instances (see the list below), with at most 30 days of delay; "
    .. "resources of the PostgreSQL container, no limit below its request.",
  built_in = "{}",
  input = {
    { "cluster", "record", "the cluster", of = "cluster", default = {} },
    { "instance", "record", "the instance", of = "instance", default = { name = "pg-1" } },
    { "parameters", "map", "spec.postgresql.parameters", of = "text", default = {}, max = 1000 },
    { "resources", "record", "spec.resources", of = "resources", default = {} },
    { "now", "time", "the time, to the hour", default = 1767225600 },
  },
  records = {
    instance = {
      { "name", "text", "its name" },
      { "ordinal", "int", "1 is the first", default = 1, min = 0 },
      { "role", "choice", "", of = { "primary", "replica", "none" }, default = "replica" },
      { "zone", "text", "zone of its node, where that is known", optional = true },
      { "node", "text", "its node", optional = true },
    },
    resources = {
      { "requests", "map", "as in a container", of = "quantity", optional = true, default = {}, max = 32 },
      { "limits", "map", "as in a container", of = "quantity", optional = true, default = {}, max = 32 },
    },
    shape = {
      { "parameters", "map", "parameters of PostgreSQL, over those of the Cluster", of = "scalar",
        optional = true, max = 100 },
      { "resources", "record", "instead of spec.resources", of = "resources", optional = true },
    },
  },
  answers = { "shape" },
  --- Nothing that a standby must have as its primary has it, nothing that moonherd sets, no file, no program.
  parameters = {
    "autovacuum_max_workers", "autovacuum_naptime", "autovacuum_vacuum_cost_delay",
    "autovacuum_vacuum_cost_limit", "autovacuum_work_mem", "backend_flush_after", "bgwriter_delay",
    "bgwriter_flush_after", "bgwriter_lru_maxpages", "bgwriter_lru_multiplier",
    "checkpoint_completion_target", "checkpoint_flush_after", "checkpoint_timeout", "cpu_index_tuple_cost",
    "cpu_operator_cost", "cpu_tuple_cost", "deadlock_timeout", "default_statistics_target",
    "effective_cache_size", "effective_io_concurrency", "hash_mem_multiplier", "hot_standby_feedback",
    "huge_pages", "idle_in_transaction_session_timeout", "idle_session_timeout", "jit", "jit_above_cost",
    "lock_timeout", "log_autovacuum_min_duration", "log_checkpoints", "log_connections",
    "log_disconnections", "log_lock_waits", "log_min_duration_statement", "log_recovery_conflict_waits",
    "log_statement", "log_temp_files", "logical_decoding_work_mem", "maintenance_io_concurrency",
    "maintenance_work_mem", "max_parallel_maintenance_workers", "max_parallel_workers_per_gather",
    "max_standby_archive_delay", "max_standby_streaming_delay", "max_wal_size",
    "min_parallel_index_scan_size", "min_parallel_table_scan_size", "min_wal_size", "random_page_cost",
    "recovery_min_apply_delay", "recovery_prefetch", "seq_page_cost", "shared_buffers",
    "statement_timeout", "temp_buffers", "temp_file_limit", "track_activities", "track_counts",
    "track_functions", "track_io_timing", "vacuum_buffer_usage_limit", "vacuum_cost_delay",
    "vacuum_cost_limit", "wal_buffers", "wal_decode_buffer_size", "wal_writer_delay", "work_mem",
  },
  words = "a table with parameters and resources",
}
