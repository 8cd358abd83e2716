fn main() {
    for crd in windlass::api::crds() {
        println!("{}", serde_json::to_string(&crd).unwrap());
    }
}
