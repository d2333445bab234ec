//! mod_wsroute in a real httpd. One file for each behaviour, named as a sentence.

#[path = "../harness/mod.rs"]
mod harness;

mod a_container_that_boots_is_waited_for;
#[cfg(feature = "panic-test")]
mod a_panic_costs_one_request;
mod abrupt_ends;
mod access_control_applies_first;
mod access_log_at_the_end;
mod bad_config_is_refused;
mod bulk_is_byte_exact;
mod configtest_and_double_load_work;
mod descriptors_return;
mod directives_stand_where_the_reference_says;
mod early_bytes_survive;
mod examples_work;
mod foreign_origins_are_refused;
mod graceful_restart_drains;
mod graceful_stop;
mod h2_extended_connect_is_relayed;
mod half_close_is_kept;
mod hostile_keys_reach_nobody;
mod malformed_upgrades_get_the_reason;
mod mod_proxy_drops_hop_by_hop_headers;
mod mod_proxy_still_serves_the_rest;
mod never_the_wrong_container;
mod one_flight_for_each_key;
mod only_the_owner_gets_in;
mod plain_http_is_untouched;
mod plain_http_reaches_the_same_container;
mod refusals_say_why;
mod routes_change_under_running_sessions;
mod sessions_name_the_container;
mod shrink_disturbs_nobody;
mod slow_readers_stop_the_other_side;
mod stop_sends_going_away;
mod strict_kasmvnc_is_satisfied;
mod targets_are_checked_after_dns;
mod targets_outside_the_allow_list_are_refused;
mod the_browsers_handshake_is_forwarded;
mod the_database_may_stop;
mod the_first_users_configurations_work;
mod the_log_line_outlives_the_request;
mod the_path_is_the_clients;
mod tls_clients_are_relayed;
mod tls_upstreams_are_verified;
mod upgrade_reaches_the_right_upstream;
mod upstream_is_down;
mod upstream_says_no;
mod workers_are_not_held;
