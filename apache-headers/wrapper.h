/* What bindgen reads: httpd's and APR's headers, and typed constants for what bindgen cannot take
 * from macros. The layout constants are checked twice: by Rust against bindgen's structs
 * (src/ffi.rs) and by the C compiler against the real ones (shim.c). */
#include <stddef.h>
#include "httpd.h"
#include "http_config.h"
#include "http_connection.h"
#include "http_core.h"
#include "http_log.h"
#include "http_main.h"
#include "http_protocol.h"
#include "http_request.h"
#include "ap_expr.h"
#include "ap_mpm.h"
#include "mod_core.h"
#include "mpm_common.h"
#include "scoreboard.h"
#include "unixd.h"
#include "util_filter.h"
#include "apr_buckets.h"
#include "apr_dso.h"
#include "apr_optional.h"
#include "apr_optional_hooks.h"
#include "apr_portable.h"
#include "apr_strings.h"

enum wsroute_layout {
    WSROUTE_SIZEOF_CONN_REC = sizeof(conn_rec),
    WSROUTE_SIZEOF_REQUEST_REC = sizeof(request_rec),
    WSROUTE_SIZEOF_SERVER_REC = sizeof(server_rec),
    WSROUTE_SIZEOF_MODULE = sizeof(module),
    WSROUTE_OFFSETOF_CONN_REC_SBH = offsetof(conn_rec, sbh),
    WSROUTE_OFFSETOF_CONN_REC_CS = offsetof(conn_rec, cs),
    WSROUTE_OFFSETOF_CONN_REC_OUTPUT_FILTERS = offsetof(conn_rec, output_filters),
    WSROUTE_OFFSETOF_CONN_REC_MASTER = offsetof(conn_rec, master),
    WSROUTE_OFFSETOF_REQUEST_REC_HEADERS_IN = offsetof(request_rec, headers_in),
    WSROUTE_OFFSETOF_REQUEST_REC_INPUT_FILTERS = offsetof(request_rec, input_filters),
    WSROUTE_OFFSETOF_REQUEST_REC_BYTES_SENT = offsetof(request_rec, bytes_sent),
    WSROUTE_OFFSETOF_REQUEST_REC_USERAGENT_IP = offsetof(request_rec, useragent_ip)
};

/* module_magic_number and cookie of this build, as STANDARD20_MODULE_STUFF has them */
enum wsroute_magic {
    WSROUTE_MMN_MAJOR = MODULE_MAGIC_NUMBER_MAJOR,
    WSROUTE_MMN_MINOR = MODULE_MAGIC_NUMBER_MINOR
};
static const unsigned long WSROUTE_MODULE_COOKIE = MODULE_MAGIC_COOKIE;

/* shim.c */
apr_bucket *wsroute_brigade_first(apr_bucket_brigade *bb);
void wsroute_brigade_append(apr_bucket_brigade *bb, apr_bucket *b);
apr_status_t wsroute_bucket_read(apr_bucket *b, const char **data, apr_size_t *len);
void wsroute_bucket_delete(apr_bucket *b);
int wsroute_bucket_is_metadata(const apr_bucket *b);
int wsroute_bucket_is_eos(const apr_bucket *b);
apr_bucket *wsroute_transient_bucket(const char *data, apr_size_t len, apr_bucket_alloc_t *alloc);
