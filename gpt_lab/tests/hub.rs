//! The Hub, played by a server on this machine: what is asked, what lies in the cache, and everything that goes wrong
//! on the way.

mod hub_support;

use std::fs;

use gpt_lab::prelude::*;
use hub_support::{COMMIT, Server, split_weights, tiny_model};
use tempfile::{TempDir, tempdir};

const REPO: &str = "lab/tiny-gpt2";

/// The settings of a learner with an empty cache.
fn hub(server: &Server, folder: &TempDir) -> Hub {
    Hub { endpoint: server.url.clone(), cache: folder.path().to_path_buf(), token: None, offline: false }
}

fn logits(model: &Gpt2) -> Vec<f32> {
    let ids = Tensor::new(&[[1u32, 5, 2, 7]], &Device::Cpu).unwrap();
    model.forward(&ids, &mut Pass::eval()).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn a_model_and_its_tokenizer_come_as_from_a_folder() {
    let (folder, model) = (tempdir().unwrap(), tiny_model());
    let server = Server::start(model.1.path(), true);
    let hub = hub(&server, &folder);
    let from_hub = Gpt2::from_hub_with(REPO, &hub).unwrap();
    assert_eq!(logits(&from_hub), logits(&model.0));
    let tokenizer = BpeTokenizer::from_hub_with(REPO, &hub).unwrap();
    assert_eq!(tokenizer.decode(&tokenizer.encode("the river 🚲").unwrap()).unwrap(), "the river 🚲");
    tokenizer.check_fits(from_hub.vocab_size()).unwrap_err();

    // The layout is the one of Python's huggingface_hub.
    let repo = folder.path().join("models--lab--tiny-gpt2");
    assert_eq!(fs::read_to_string(repo.join("refs/main")).unwrap(), COMMIT);
    let link = repo.join("snapshots").join(COMMIT).join("model.safetensors");
    let target = fs::read_link(&link).unwrap();
    assert_eq!(target, std::path::Path::new("../../blobs").join(server.etag("model.safetensors")));
    assert_eq!(fs::read(&link).unwrap(), fs::read(model.1.path().join("model.safetensors")).unwrap());

    // A second time only the branch is asked about; a pinned commit asks nothing.
    let asked = server.requests().len();
    Gpt2::from_hub_with(REPO, &hub).unwrap();
    assert_eq!(server.requests()[asked..], [format!("HEAD /{REPO}/resolve/main/config.json")]);
    Gpt2::from_hub_with(Repo::model(REPO).revision(COMMIT), &hub).unwrap();
    assert_eq!(server.requests().len(), asked + 1);
}

#[test]
fn weights_in_several_files_are_all_fetched() {
    let (folder, model) = (tempdir().unwrap(), tiny_model());
    split_weights(model.1.path());
    let server = Server::start(model.1.path(), true);
    let from_hub = Gpt2::from_hub_with(REPO, &hub(&server, &folder)).unwrap();
    assert_eq!(logits(&from_hub), logits(&model.0));
}

#[test]
fn the_cache_is_enough_without_a_hub() {
    let (folder, model) = (tempdir().unwrap(), tiny_model());
    let server = Server::start(model.1.path(), true);
    let online = hub(&server, &folder);
    let offline = Hub { offline: true, ..online.clone() };
    let error = Gpt2::from_hub_with(REPO, &offline).unwrap_err();
    assert!(matches!(error, Error::NotCached { .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains(REPO) && said.contains("config.json") && said.contains("HF_HUB_OFFLINE"), "{said}");
    assert!(server.requests().is_empty());

    Gpt2::from_hub_with(REPO, &online).unwrap();
    let asked = server.requests().len();
    assert_eq!(logits(&Gpt2::from_hub_with(REPO, &offline).unwrap()), logits(&model.0));
    assert_eq!(server.requests().len(), asked);

    // The same where nobody answers: port 9 of this machine is closed.
    let unplugged = Hub { endpoint: "http://127.0.0.1:9".into(), ..online };
    assert_eq!(logits(&Gpt2::from_hub_with(REPO, &unplugged).unwrap()), logits(&model.0));
    let error = Gpt2::from_hub_with("lab/other", &unplugged).unwrap_err().to_string();
    assert!(error.contains("lab/other") && error.contains("cannot be reached"), "{error}");
}

#[test]
fn a_broken_connection_goes_on_where_it_broke() {
    let (folder, model) = (tempdir().unwrap(), tiny_model());
    let server = Server::start(model.1.path(), true);
    server.faults().break_after = Some((10_000, 2));
    let from_hub = Gpt2::from_hub_with(REPO, &hub(&server, &folder)).unwrap();
    assert_eq!(logits(&from_hub), logits(&model.0));
    assert_eq!(server.ranges(), ["bytes=10000-", "bytes=20000-"]);
}

#[test]
fn a_download_that_was_given_up_is_taken_up_again() {
    let (folder, model) = (tempdir().unwrap(), tiny_model());
    let server = Server::start(model.1.path(), true);
    let hub = hub(&server, &folder);
    server.faults().break_after = Some((0, usize::MAX));
    let partial =
        folder.path().join(format!("models--lab--tiny-gpt2/blobs/{}.incomplete", server.etag("model.safetensors")));
    let weights = fs::read(model.1.path().join("model.safetensors")).unwrap();
    fs::create_dir_all(partial.parent().unwrap()).unwrap();
    fs::write(&partial, &weights[..5_000]).unwrap();
    let error = Gpt2::from_hub_with(REPO, &hub).unwrap_err();
    assert!(matches!(error, Error::Download { .. }), "{error}");
    assert!(error.to_string().contains("5000 bytes are kept"), "{error}");
    assert_eq!(fs::metadata(&partial).unwrap().len(), 5_000);

    server.faults().break_after = None;
    assert_eq!(logits(&Gpt2::from_hub_with(REPO, &hub).unwrap()), logits(&model.0));
    assert!(server.ranges().iter().all(|range| range == "bytes=5000-"), "{:?}", server.ranges());
    assert!(!partial.exists());
}

#[test]
fn a_server_that_cannot_begin_in_the_middle_begins_again() {
    let (folder, model) = (tempdir().unwrap(), tiny_model());
    let server = Server::start(model.1.path(), true);
    server.faults().no_ranges = true;
    server.faults().break_after = Some((10_000, 1));
    assert_eq!(logits(&Gpt2::from_hub_with(REPO, &hub(&server, &folder)).unwrap()), logits(&model.0));
}

#[test]
fn a_slow_server_is_waited_for() {
    let (folder, model) = (tempdir().unwrap(), tiny_model());
    let server = Server::start(model.1.path(), true);
    server.faults().slow = true;
    assert_eq!(logits(&Gpt2::from_hub_with(REPO, &hub(&server, &folder)).unwrap()), logits(&model.0));
}

#[test]
fn a_file_that_is_not_what_was_announced_is_not_kept() {
    let (folder, model) = (tempdir().unwrap(), tiny_model());
    let server = Server::start(model.1.path(), true);
    let hub = hub(&server, &folder);
    for file in ["model.safetensors", "config.json"] {
        server.faults().corrupt = Some(file.to_string());
        let error = Gpt2::from_hub_with(REPO, &hub).unwrap_err();
        assert!(matches!(error, Error::ChecksumMismatch { .. }), "{error}");
        assert!(error.to_string().contains(file) && error.to_string().contains(&server.etag(file)), "{error}");
        let blobs = folder.path().join("models--lab--tiny-gpt2/blobs");
        let left: Vec<_> =
            fs::read_dir(&blobs).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        assert!(left.iter().all(|name| !name.starts_with(&server.etag(file))), "{left:?}");
        fs::remove_dir_all(folder.path().join("models--lab--tiny-gpt2")).unwrap();
    }
    server.faults().corrupt = None;
    assert_eq!(logits(&Gpt2::from_hub_with(REPO, &hub).unwrap()), logits(&model.0));
}

#[test]
fn what_is_not_there_is_said_clearly() {
    let (folder, model) = (tempdir().unwrap(), tiny_model());
    fs::remove_file(model.1.path().join("model.safetensors")).unwrap();
    let server = Server::start(model.1.path(), true);
    let hub = hub(&server, &folder);
    let error = Gpt2::from_hub_with(REPO, &hub).unwrap_err().to_string();
    assert!(
        error.contains("404 Not Found") && error.contains(&format!("{REPO}/resolve/{COMMIT}/model.safetensors")),
        "{error}"
    );
    let error = Gpt2::from_hub_with("lab/nothing", &hub).unwrap_err().to_string();
    assert!(error.contains("lab/nothing") && error.contains("no such repository"), "{error}");
    let error = Gpt2::from_hub_with(Repo::model(REPO).revision("v9"), &hub).unwrap_err().to_string();
    assert!(error.contains("/v9/") && error.contains("no such revision"), "{error}");
    let error = Gpt2::from_hub_with("../secrets", &hub).unwrap_err().to_string();
    assert!(error.contains("repo = \"../secrets\""), "{error}");
}

#[test]
fn the_token_goes_to_the_hub_and_nowhere_else() {
    let (folder, model) = (tempdir().unwrap(), tiny_model());
    let server = Server::start(model.1.path(), false);
    let without = hub(&server, &folder);
    let error = Gpt2::from_hub_with(REPO, &without).unwrap_err().to_string();
    assert!(error.contains("401 Unauthorized") && error.contains("HF_TOKEN"), "{error}");
    let with = Hub { token: Some("hf_secret".into()), ..without };
    assert_eq!(logits(&Gpt2::from_hub_with(REPO, &with).unwrap()), logits(&model.0));
    // The server redirects large files to `localhost`, which is another host than `127.0.0.1`, and notes a token there.
    assert_eq!(server.faults().tokens_at_the_store, 0);
}

#[test]
fn a_repository_that_was_renamed_is_found() {
    let (folder, model) = (tempdir().unwrap(), tiny_model());
    let server = Server::start(model.1.path(), false);
    let hub = Hub { token: Some("hf_secret".into()), ..hub(&server, &folder) };
    assert_eq!(logits(&Gpt2::from_hub_with("old-name", &hub).unwrap()), logits(&model.0));
}

#[test]
fn two_at_once_download_once() {
    let (folder, model) = (tempdir().unwrap(), tiny_model());
    let server = Server::start(model.1.path(), true);
    server.faults().slow = true;
    let hub = hub(&server, &folder);
    std::thread::scope(|scope| {
        let loads: Vec<_> = (0..2).map(|_| scope.spawn(|| logits(&Gpt2::from_hub_with(REPO, &hub).unwrap()))).collect();
        loads.into_iter().for_each(|load| assert_eq!(load.join().unwrap(), logits(&model.0)));
    });
    let stores = server.requests().iter().filter(|line| line.starts_with("GET /store/")).count();
    assert_eq!(stores, 1);
}
