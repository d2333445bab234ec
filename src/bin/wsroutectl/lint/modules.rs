//! Modules that are needed and not loaded.

use mod_wsroute::apache::Directive;

use super::finding::Finding;
use super::site::{Rule, Site};

/// The first httpd whose mod_proxy_http relays WebSockets.
const RELAYING: [u32; 3] = [2, 4, 47];

/// Our directives in an `<IfModule>` that does not hold.
pub fn guarded(site: &Site<'_>) -> Vec<Finding> {
    let skipped = site.config.skipped.iter().filter(|skipped| skipped.section.is("<IfModule"));
    let finding = |skipped: &mod_wsroute::apache::Skipped| {
        let (section, line) = (&skipped.section, &skipped.directive);
        let what =
            format!("{} at {} does not count: {section} does not hold", line.name, line.place);
        let mend =
            "load the module, or take the <IfModule> away: then configtest says what is missing";
        Finding::warning(&section.place, what, mend)
    };
    skipped.map(finding).collect()
}

/// A directive whose module is not loaded: httpd does not start.
pub fn missing(site: &Site<'_>) -> Vec<Finding> {
    const NEEDED: [(&str, &str); 7] = [
        ("WsRoute", "wsroute_module"),
        ("RewriteEngine", "rewrite_module"),
        ("RequestHeader", "headers_module"),
        ("SetEnvIf", "setenvif_module"),
        ("SSLEngine", "ssl_module"),
        ("ProxyPass", "proxy_module"),
        ("Header", "headers_module"),
    ];
    let mut findings = Vec::new();
    for (name, module) in NEEDED.into_iter().filter(|(_, module)| !site.config.modules.has(module))
    {
        let mut sections = site.sections().into_iter();
        if let Some(line) = sections.find_map(|(_, section)| section.all(name).next()) {
            let what = format!("{name} needs {module}, which is not loaded: httpd does not start");
            findings.push(Finding::error(&line.place, what, enable(module)));
        }
    }
    findings
}

/// mod_proxy finds out at the first request that something is missing.
pub fn proxy(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in &site.proxied {
        let place = &rule.rule.directive.place;
        for module in needed(site, rule) {
            let what = format!("{} needs {module}, which is not loaded", rule.rule.shown());
            findings.push(Finding::error(place, what, enable(module)));
        }
        let tls = rule.rule.has_scheme(&["https", "wss"]);
        let on = site.config.last(rule.server, "SSLProxyEngine").is_some_and(Directive::is_on);
        if tls && !on && rule.rule.target != "!" {
            let what = format!("{} is answered with 500: SSLProxyEngine is off", rule.rule.shown());
            findings.push(Finding::error(place, what, "write SSLProxyEngine On in this server"));
        }
        if rule.rule.option("upgrade").is_some() && site.config.version < RELAYING {
            let what = "upgrade= needs httpd 2.4.47";
            findings.push(Finding::error(place, what, "use WsRoute, or a newer httpd"));
        }
    }
    for (_, section) in site.sections() {
        let line = section.all("WsRouteHttp").last().filter(|line| line.is_on());
        if let Some(line) = line
            && !site.config.modules.has("proxy_http_module")
        {
            let what = "WsRouteHttp needs proxy_http_module, which is not loaded";
            findings.push(Finding::error(&line.place, what, enable("proxy_http_module")));
        }
    }
    findings
}

/// The modules that a rule lacks.
fn needed(site: &Site<'_>, rule: &Rule<'_>) -> Vec<&'static str> {
    let modules = &site.config.modules;
    let mut lacking = Vec::new();
    let mut need = |module: &'static str| {
        if !modules.has(module) {
            lacking.push(module);
        }
    };
    if rule.rule.rewrite {
        need("proxy_module"); // without it httpd does not know ProxyPass
    }
    if rule.rule.has_scheme(&["http", "https"]) {
        need("proxy_http_module");
    }
    let http_does_it = site.config.version >= RELAYING && modules.has("proxy_http_module");
    if rule.rule.has_scheme(&["ws", "wss"]) && !http_does_it {
        need("proxy_wstunnel_module");
    }
    if rule.rule.target.starts_with("balancer://") {
        need("proxy_balancer_module");
    }
    lacking
}

fn enable(module: &str) -> String {
    let name = module.trim_end_matches("_module");
    format!("load it: LoadModule {module} modules/mod_{name}.so (Debian: a2enmod {name})")
}
