/* Only what cannot be bound: APR's bucket macros. And the C compiler's half of the layout proof. */
#include "wrapper.h"
#include "wsroute_layout.h" /* written by build.rs from what bindgen saw */

#define SAME(what, expr) _Static_assert((expr) == BINDGEN_##what, #what ": bindgen and C disagree")
SAME(WSROUTE_SIZEOF_CONN_REC, sizeof(conn_rec));
SAME(WSROUTE_SIZEOF_REQUEST_REC, sizeof(request_rec));
SAME(WSROUTE_SIZEOF_SERVER_REC, sizeof(server_rec));
SAME(WSROUTE_SIZEOF_MODULE, sizeof(module));
SAME(WSROUTE_OFFSETOF_CONN_REC_SBH, offsetof(conn_rec, sbh));
SAME(WSROUTE_OFFSETOF_CONN_REC_CS, offsetof(conn_rec, cs));
SAME(WSROUTE_OFFSETOF_CONN_REC_OUTPUT_FILTERS, offsetof(conn_rec, output_filters));
SAME(WSROUTE_OFFSETOF_CONN_REC_MASTER, offsetof(conn_rec, master));
SAME(WSROUTE_OFFSETOF_REQUEST_REC_HEADERS_IN, offsetof(request_rec, headers_in));
SAME(WSROUTE_OFFSETOF_REQUEST_REC_INPUT_FILTERS, offsetof(request_rec, input_filters));
SAME(WSROUTE_OFFSETOF_REQUEST_REC_BYTES_SENT, offsetof(request_rec, bytes_sent));
SAME(WSROUTE_OFFSETOF_REQUEST_REC_USERAGENT_IP, offsetof(request_rec, useragent_ip));

apr_bucket *wsroute_brigade_first(apr_bucket_brigade *bb)
{
    return APR_BRIGADE_EMPTY(bb) ? NULL : APR_BRIGADE_FIRST(bb);
}

void wsroute_brigade_append(apr_bucket_brigade *bb, apr_bucket *b)
{
    APR_BRIGADE_INSERT_TAIL(bb, b);
}

apr_status_t wsroute_bucket_read(apr_bucket *b, const char **data, apr_size_t *len)
{
    return apr_bucket_read(b, data, len, APR_NONBLOCK_READ);
}

void wsroute_bucket_delete(apr_bucket *b)
{
    apr_bucket_delete(b);
}

int wsroute_bucket_is_metadata(const apr_bucket *b)
{
    return APR_BUCKET_IS_METADATA(b);
}

int wsroute_bucket_is_eos(const apr_bucket *b)
{
    return APR_BUCKET_IS_EOS(b);
}

apr_bucket *wsroute_transient_bucket(const char *data, apr_size_t len, apr_bucket_alloc_t *alloc)
{
    return apr_bucket_transient_create(data, len, alloc);
}
