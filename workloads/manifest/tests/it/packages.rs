//! Packages: safe paths, limits, stated exclusions, addresses that depend on content alone, archives that go and come.

use rebar_manifest::{File, MAX_FILE_BYTES, MAX_FILES, MAX_PATH_BYTES, Package, PackageError};

use crate::good;

#[test]
fn paths_stay_inside() {
    for path in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./x", "a\\b", "a\nb", "a/", &"x".repeat(300)] {
        let error = Package::default().insert(path, File::default()).unwrap_err();
        assert!(matches!(error, PackageError::UnsafePath(_) | PackageError::LongPath(_)), "{path}: {error}");
    }
}

#[test]
fn a_path_has_a_bounded_length() {
    let of = |length: usize| format!("{}/{}", "d".repeat(100), "f".repeat(length - 101));
    Package::default().insert(&of(MAX_PATH_BYTES), File::default()).unwrap();
    let error = Package::default().insert(&of(MAX_PATH_BYTES + 1), File::default()).unwrap_err();
    assert!(matches!(error, PackageError::LongPath(_)), "{error}");
}

#[test]
fn a_file_is_not_a_directory() {
    let mut package = Package::default();
    package.insert("a/b", File::default()).unwrap();
    assert!(matches!(package.insert("a", File::default()), Err(PackageError::Collision(_))));
    assert!(matches!(package.insert("a/b/c", File::default()), Err(PackageError::Collision(_))));
    package.insert("a-b", File::default()).unwrap();
}

#[test]
fn sizes_are_limited() {
    let mut package = Package::default();
    let large = File { bytes: vec![0; MAX_FILE_BYTES + 1], executable: false };
    assert!(matches!(package.insert("large", large), Err(PackageError::LargeFile(_))));
    for number in 0..MAX_FILES {
        package.insert(&format!("f{number}"), File::default()).unwrap();
    }
    assert!(matches!(package.insert("more", File::default()), Err(PackageError::ManyFiles)));
    package.insert("f0", File::text("replaced")).unwrap();
    let mut package = Package::default();
    let error = (0..100).find_map(|it| {
        let file = File { bytes: vec![0; MAX_FILE_BYTES], executable: false };
        package.insert(&format!("f{it}"), file).err()
    });
    assert!(matches!(error, Some(PackageError::LargePackage)));
}

#[test]
fn what_does_not_belong_stays_out() {
    let mut package = good::package();
    let digest = package.digest();
    for path in
        [".rebar/role.json", ".git/HEAD", "target/x", "a~", "roles/ca/.role.yaml.swp", "x.orig", "#x#", ".gitignore"]
    {
        assert!(Package::excludes(path), "{path}");
        package.insert(path, File::text("x")).unwrap();
    }
    assert_eq!(package.digest(), digest);
    for path in ["roles/ca/role.yaml", "targets/x", "README.md", "a.swap"] {
        assert!(!Package::excludes(path), "{path}");
    }
}

#[test]
fn the_address_is_that_of_the_content() {
    let package = good::package();
    let reversed =
        Package::from_files(good::FILES.iter().rev().map(|(path, text)| ((*path).to_owned(), good::file(path, text))));
    assert_eq!(package.digest(), reversed.unwrap().digest());
    assert_eq!(package.to_tar(), good::package().to_tar());
    let changed = good::mutated("README.md", "store", "Store");
    assert_ne!(package.digest(), changed.digest());
    let mut mode = good::package();
    let file = mode.get("roles/user/use.sh").unwrap().clone();
    mode.insert("roles/user/use.sh", File { executable: false, ..file }).unwrap();
    assert_ne!(package.digest(), mode.digest());
    assert_ne!(package.role_archive("user").0, mode.role_archive("user").0);
    assert_eq!(package.role_archive("key"), mode.role_archive("key"));
}

#[test]
fn an_archive_comes_back_as_it_went() {
    let mut package = good::package();
    let long = format!("{}/{}/file.txt", "d".repeat(100), "e".repeat(100));
    package.insert(&long, File::text("long path")).unwrap();
    let back = Package::from_tar(&package.to_tar()).unwrap();
    assert_eq!(package, back);
    let (digest, archive) = package.role_archive("member");
    let role = Package::from_tar(&archive).unwrap();
    assert_eq!(
        role.files().map(|it| it.0).collect::<Vec<_>>(),
        ["check.sh", "join.sh", "leave.sh", "ready.sh", "role.yaml"]
    );
    assert_eq!(digest, package.role_archive("member").0);
}

#[test]
fn archives_from_outside_are_not_trusted() {
    let header = |kind, size| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o644);
        header
    };
    let mut links = tar::Builder::new(Vec::new());
    links.append_link(&mut header(tar::EntryType::Symlink, 0), "x", "/etc/passwd").unwrap();
    let error = Package::from_tar(&links.into_inner().unwrap()).unwrap_err();
    assert!(matches!(error, PackageError::NotAFile { kind: "symbolic link", .. }), "{error}");

    let mut escape = header(tar::EntryType::Regular, 1);
    escape.as_mut_bytes()[..5].copy_from_slice(b"../xx");
    escape.set_cksum();
    let mut archive = tar::Builder::new(Vec::new());
    archive.append(&escape, &b"x"[..]).unwrap();
    let error = Package::from_tar(&archive.into_inner().unwrap()).unwrap_err();
    assert!(matches!(error, PackageError::UnsafePath(_)), "{error}");

    let whole = good::package().to_tar();
    assert!(Package::from_tar(&whole[..700]).is_err());
    assert!(Package::from_tar(b"not an archive, but long enough to look like a header".repeat(20).as_slice()).is_err());
}
