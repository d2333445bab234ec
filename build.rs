//! Binds httpd's headers (bindgen) and compiles the shim (cc). Does nothing without the feature
//! "httpd".

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

const FUNCTIONS: &str = "ap_(state_query|index_of_response|response_code_string|custom_response|add_(input|output)_filter_handle|get_brigade|pass_brigade|\
    remove_(input|output)_filter|register_(input|output)_filter|send_interim_response|\
    discard_request_body|set_content_type|hook_.*|log_[a-z]*error_|get_[a-z]*_?module_loglevel|\
    mpm_query|mpm_register_timed_callback|die|show_mpm|prep_lingering_close|shutdown_conn|bucket_eor_create|expr_.*|\
    get_conn_socket|get_pollfd_from_conn|check_cmd_context|server_root_relative|runtime_dir_relative|find_linked_module|\
    is_initial_req|get_server_banner|get_scoreboard_worker|context_document_root|exists_config_define|os_escape_path|\
    run_http_scheme|add_version_component|get_useragent_host|get_server_revision|\
    create_request|new_log_config|set_module_loglevel)|\
    apr_(pool_userdata_[gs]et|allocator_(create|alloc|free|destroy|owner_set|max_free_set)|brigade_(create|cleanup|destroy|length)|pool_(allocator_get|destroy|cleanup_register|cleanup_kill|\
    cleanup_null|pre_cleanup_register|create_ex)|p?strdup|pstrmemdup|palloc|pcalloc|table_.*|os_(sock|file)_get|socket_close|\
    bucket_(flush|eos)_create|dynamic_fn_retrieve|optional_hook_add|dso_sym|sockaddr_ip_get)|wsroute_.*";
const TYPES: &str = "conn_rec|request_rec|server_rec|module|command_rec|cmd_parms|ap_filter_t|\
    conn_state_t|ap_directive_t|ap_LINK_log_transaction_t|core_dir_config|scoreboard|cmd_func|apr_table_entry_t|apr_pollfd_t|wsroute_.*";
const VARS: &str = "WSROUTE_.*|AP_SQ_.*|ap_max_mem_free|DECLINED|SUSPENDED|OK|DONE|HTTP_[A-Z_]+|APLOG_.*|AP_MPMQ_.*|\
    APR_HOOK_.*|SERVER_READY|SERVER_GRACEFUL|RSRC_CONF|ACCESS_CONF|AP_FTYPE_.*|ap_scoreboard_image|ap_conftree|ap_pid_fname|\
    ap_graceful_shutdown_timeout|ap_server_conf|core_module|GLOBAL_ONLY|PROXYREQ_NONE|M_CONNECT|ap_unixd_config|NOT_IN_HTACCESS|AP_EXPR_FLAG_.*|\
    APR_EAGAIN|APR_ECONNABORTED|APR_EOF|APR_SUCCESS";

fn main() {
    println!("cargo:rerun-if-changed=apache-headers");
    println!("cargo:rerun-if-env-changed=APXS");
    if env::var_os("CARGO_FEATURE_HTTPD").is_none() {
        return;
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let flags = header_flags();

    let bindings = bindgen::Builder::default()
        .header("apache-headers/wrapper.h")
        .clang_args(&flags)
        .allowlist_function(FUNCTIONS)
        .allowlist_type(TYPES)
        .allowlist_var(VARS)
        .blocklist_type("sockaddr.*|in6?_addr|apr_sockaddr_t.*|timespec|tm|FILE|_IO_.*")
        .raw_line("pub type apr_sockaddr_t = std::ffi::c_void;")
        .raw_line("pub type FILE = std::ffi::c_void;")
        .derive_default(false)
        .layout_tests(true)
        .generate_comments(false)
        .generate()
        .expect("bindgen could not read httpd's headers");
    let text = bindings.to_string();
    fs::write(out.join("bindings.rs"), &text).expect("OUT_DIR is writable");
    fs::write(out.join("wsroute_layout.h"), layout_header(&text)).expect("OUT_DIR is writable");

    let mut shim = cc::Build::new();
    shim.file("apache-headers/shim.c").include("apache-headers").include(&out);
    flags.iter().for_each(|flag| {
        shim.flag(flag);
    });
    shim.warnings(false).compile("wsroute_shim");
}

/// Include paths and defines of the httpd that apxs belongs to.
fn header_flags() -> Vec<String> {
    let mut flags = Vec::new();
    for name in ["INCLUDEDIR", "APR_INCLUDEDIR", "APU_INCLUDEDIR"] {
        flags.push(format!("-I{}", apxs(name)));
    }
    flags.extend(apxs("EXTRA_CPPFLAGS").split_whitespace().map(str::to_owned));
    flags
}

fn apxs(name: &str) -> String {
    let program = env::var("APXS").unwrap_or_else(|_| "apxs".into());
    match Command::new(&program).args(["-q", name]).output() {
        Ok(found) if found.status.success() => {
            String::from_utf8_lossy(&found.stdout).trim().to_owned()
        }
        _ => panic!(
            "`{program} -q {name}` failed: install apache2-dev (httpd-devel), or set APXS to \
             the apxs of your httpd"
        ),
    }
}

/// The layout constants as bindgen (libclang) computed them, for the C compiler to agree with.
fn layout_header(bindings: &str) -> String {
    bindings
        .lines()
        .filter_map(|line| {
            let at = line.find("WSROUTE_SIZEOF_").or_else(|| line.find("WSROUTE_OFFSETOF_"))?;
            let (name, rest) = line[at..].split_once(':')?;
            let value = rest.split_once('=')?.1.trim().trim_end_matches(';');
            Some(format!("#define BINDGEN_{name} {value}\n"))
        })
        .collect()
}
