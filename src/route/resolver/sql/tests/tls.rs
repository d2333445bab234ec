//! TLS to the server, as the locator's parameters say.

use rcgen::{CertifiedKey, generate_simple_self_signed};

use super::{build, error, target};
use crate::route::resolver::sql::testing::{MariaDb, Postgres};

const SELECT: &str = "SELECT 'h' AS host, 1 AS port WHERE :key = 'alice'";

/// A certificate for `localhost`, and its key.
fn certificate() -> (String, String) {
    let names = vec!["localhost".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    (cert.pem(), signing_key.serialize_pem())
}

#[tokio::test]
async fn postgres_is_verified() {
    let server = Postgres::start();
    let (cert, key) = certificate();
    let (cert, key) = (server.file("cert.pem", &cert), server.file("key.pem", &key));
    let url = format!("postgres://wsroute@localhost:{}/postgres", server.port());
    let by_number = server.url();
    let ca = cert.display();

    let d = build(&format!("{url}?sslmode=require"), SELECT, &[]);
    let said = error(&*d, "alice").await;
    assert!(said.contains("does not support TLS"), "{said}");

    server.sql(&format!(
        "ALTER SYSTEM SET ssl_cert_file = '{ca}';
        ALTER SYSTEM SET ssl_key_file = '{}';
        ALTER SYSTEM SET ssl = on;
        SELECT pg_reload_conf();",
        key.display()
    ));
    // Sees to it that connections without TLS are refused.
    server.file("data/pg_hba.conf", "hostssl all all 127.0.0.1/32 trust\nlocal all all trust\n");
    server.sql("SELECT pg_reload_conf(); SELECT pg_sleep(0.2);");
    for (locator, expected) in [
        (format!("{url}?sslmode=require"), ""),
        (format!("{url}?sslmode=prefer"), ""),
        (url.clone(), ""),
        (format!("{url}?sslmode=verify-full&sslrootcert={ca}"), ""),
        (format!("{url}?sslmode=disable"), "pg_hba.conf"),
        (format!("{url}?sslmode=verify-full"), "invalid peer certificate"),
        (format!("{by_number}?sslmode=verify-full&sslrootcert={ca}"), "not valid for name"),
        (
            format!("{url}?sslmode=verify-full&sslrootcert=/no/ca.pem"),
            "cannot read /no/ca.pem: No such",
        ),
    ] {
        check(&locator, expected).await;
    }
}

#[tokio::test]
async fn mariadb_is_verified() {
    let mut server = MariaDb::start();
    let url = format!("mysql://root@localhost:{}/wsroute", server.port());
    let by_number = server.url();
    check(&format!("{url}?ssl-mode=REQUIRED"), "does not support TLS").await;

    let (cert, key) = certificate();
    let (cert, key) = (server.file("cert.pem", &cert), server.file("key.pem", &key));
    let ca = cert.display();
    let settings = std::fs::read_to_string(cert.with_file_name("my.cnf")).unwrap();
    let tls = format!("{settings}ssl-cert={ca}\nssl-key={}\n", key.display());
    server.file("my.cnf", &tls);
    server.stop();
    server.start_again();
    server.sql("CREATE USER t REQUIRE SSL; GRANT SELECT ON *.* TO t");
    for (locator, expected) in [
        (format!("{url}?ssl-mode=REQUIRED"), ""),
        (url.clone(), ""),
        (url.replace("root", "t"), ""),
        (format!("{url}?ssl-mode=VERIFY_IDENTITY&ssl-ca={ca}"), ""),
        (format!("{}?ssl-mode=DISABLED", url.replace("root", "t")), "Access denied"),
        (format!("{url}?ssl-mode=VERIFY_IDENTITY&ssl-ca=/no/ca.pem"), "cannot read /no/ca.pem"),
        (format!("{url}?ssl-mode=VERIFY_IDENTITY"), "invalid peer certificate"),
        (format!("{by_number}?ssl-mode=VERIFY_IDENTITY&ssl-ca={ca}"), "not valid for name"),
    ] {
        check(&locator, expected).await;
    }
}

/// The locator works, or fails with this text.
async fn check(locator: &str, expected: &str) {
    let d = build(locator, SELECT, &[]);
    match expected {
        "" => {
            let got = target(&*d, "alice").await;
            assert_eq!(got, Ok(Some("ws://h:1".into())), "{locator}");
        }
        text => {
            let said = error(&*d, "alice").await;
            assert!(said.contains(text), "{locator}: {said}");
        }
    }
}
