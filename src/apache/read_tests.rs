use super::*;

/// A folder with files, `main` among them.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.replace("ROOT", dir.path().to_str().unwrap())).unwrap();
    }
    dir
}

fn tree(files: &[(&str, &str)]) -> Result<(Tree, tempfile::TempDir), String> {
    let dir = folder(files);
    let options = Options {
        file: Some(dir.path().join("main")),
        root: Some(dir.path().to_owned()),
        defines: vec!["FLAG".to_owned()],
    };
    match read(&options) {
        Ok(tree) => Ok((tree, dir)),
        Err(problem) => Err(problem.to_string().replace(dir.path().to_str().unwrap(), "ROOT")),
    }
}

/// The directives of `main`, `NAME ARGS` with `;` between them.
fn shown(main: &str, files: &[(&str, &str)]) -> String {
    let mut all = vec![("main", main)];
    all.extend(files);
    let (tree, dir) = tree(&all).unwrap();
    fn texts(directives: &[Directive], found: &mut Vec<String>) {
        for directive in directives {
            found.push(directive.to_string());
            texts(directive.inner(), found);
        }
    }
    let mut found = Vec::new();
    texts(&tree.directives, &mut found);
    found.join(";").replace(dir.path().to_str().unwrap(), "ROOT")
}

const MPM: &str = "LoadModule mpm_event_module x.so\n";

#[test]
fn includes_defines_and_conditions() {
    let files = [("a/1.conf", "One"), ("a/2.conf", "Two ${V}"), ("b", "Three")];
    let table = [
        ("Define V 2\nInclude a/*.conf\nInclude b\nIncludeOptional none/*", "One;Two 2;Three"),
        ("Define V\nInclude a/2.conf", "Two ${V}"),
        ("<IfDefine FLAG>\nX\n</IfDefine>\n<IfDefine !FLAG>\nY\n</IfDefine>", "X"),
        ("UnDefine FLAG\n<IfDefine FLAG>\nX\n</IfDefine>", ""),
        ("<IfFile b>\nX\n</IfFile>\n<IfFile c>\nY\n</IfFile>", "X"),
        ("<IfVersion >= 2.4>\nX\n</IfVersion>\n<IfVersion < 2.2>\nY\n</IfVersion>", "X"),
        ("<L \"/\">\n<IfDefine FLAG>\nX\n</IfDefine>\nInclude b\n</L>", "<L \"/\">;X;Three"),
        ("ServerRoot ROOT/a\nInclude 1.conf", "ServerRoot ROOT/a;One"),
    ];
    for (main, expected) in table {
        assert_eq!(shown(main, &files), expected, "{main}");
    }
}

#[test]
fn modules_count_from_their_line_on() {
    let main = "<IfModule ssl_module>\nEarly\n</IfModule>\nLoadModule ssl_module y.so\n\
                <IfModule mod_ssl.c>\nLate\n</IfModule>\n<IfModule !mod_ssl.c>\nNot\n</IfModule>";
    let expected = "LoadModule mpm_event_module x.so;LoadModule ssl_module y.so;Late";
    assert_eq!(shown(&format!("{MPM}{main}"), &[]), expected);
    // A piece of a configuration is read as if every module was there.
    assert_eq!(shown(main, &[]), "Early;LoadModule ssl_module y.so;Late");
}

#[test]
fn macros() {
    let main = "<Macro Desk $name $name2>\n<Location /$name>\nX $name2\n</Location>\n</Macro>\n\
                Use desk a b\nUse Desk c d";
    assert_eq!(shown(main, &[]), "<Location /a>;X b;<Location /c>;X d");
}

#[test]
fn what_is_left_out_is_remembered_if_it_is_ours() {
    let main = format!(
        "{MPM}<IfModule mod_none.c>\n<Location />\nwsroute x\n</Location>\n</IfModule>\n\
         <IfModule mod_none.c>\nY\n</IfModule>"
    );
    let (tree, _dir) = tree(&[("main", &main)]).unwrap();
    let [skipped] = tree.skipped.as_slice() else { panic!("{:?}", tree.skipped) };
    assert_eq!(skipped.section.to_string(), "<IfModule mod_none.c>");
    assert_eq!((skipped.section.place.line, skipped.directive.place.line), (2, 4));
}

#[test]
fn what_httpd_refuses() {
    let table = [
        (
            "A\nInclude none",
            "ROOT/main:2: nothing is at ROOT/none, use IncludeOptional if that is right",
        ),
        ("Include", "ROOT/main:1: Include has no value"),
        ("Include main", "ROOT/main:1: Include goes in circles, or deeper than 128"),
        ("Use x", "ROOT/main:1: no <Macro x> stands before this line"),
        ("<Macro x $a>\n</Macro>\nUse x", "ROOT/main:3: <Macro x> takes 1 values, not 0"),
        ("<Macro x>\nUse x\n</Macro>\nUse x", "ROOT/main:2: <Macro x> uses itself"),
        ("<IfVersion x>\n</IfVersion>", "ROOT/main:1: \"x\" is no version, use 2.4.58"),
    ];
    for (main, expected) in table {
        assert_eq!(tree(&[("main", main)]).unwrap_err(), expected, "{main}");
    }
}
