// Where a session's variables lie between two cells: what evcxr's store does, in a quarter of the code. `variables.rs`
// puts what follows in the place of evcxr's, which is a hash map. All cells of a session share the layout, so all must
// get this one.

pub struct VariableStore {
    variables: Vec<(String, Box<dyn std::any::Any>)>,
}

impl VariableStore {
    pub fn new() -> VariableStore {
        VariableStore { variables: Vec::new() }
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.variables.iter().position(|(known, _)| known == name)
    }

    fn put(&mut self, name: &str, value: Box<dyn std::any::Any>) {
        match self.position(name) {
            Some(at) => self.variables[at].1 = value,
            None => self.variables.push((name.to_owned(), value)),
        }
    }

    fn take(&mut self, name: &str) -> Box<dyn std::any::Any> {
        match self.position(name) {
            Some(at) => self.variables.swap_remove(at).1,
            None => panic!("Variable '{name}' has gone missing"),
        }
    }

    fn is_lost(&self, name: &str, kind: std::any::TypeId) -> bool {
        let Some(at) = self.position(name) else { return false };
        let lost = (*self.variables[at].1).type_id() != kind;
        if lost {
            eprintln!("The type of the variable {name} was redefined, so was lost.");
            println!("{VARIABLE_CHANGED_TYPE}{name}");
        }
        lost
    }

    pub fn put_variable<T: 'static>(&mut self, name: &str, value: T) {
        self.put(name, Box::new(value));
    }

    pub fn check_variable<T: 'static>(&mut self, name: &str) -> bool {
        !self.is_lost(name, std::any::TypeId::of::<T>())
    }

    pub fn take_variable<T: 'static>(&mut self, name: &str) -> T {
        *self.take(name).downcast().unwrap_or_else(|_| panic!("Variable changed type"))
    }

    pub fn lazy_arc<T: 'static, F: FnOnce() -> T>(&mut self, name: &str, create: F) -> std::sync::Arc<T> {
        let at = self.position(name).unwrap_or(self.variables.len());
        if at == self.variables.len() {
            self.put(name, Box::new(std::sync::Arc::new(create())));
        }
        self.variables[at].1.downcast_ref().cloned().unwrap_or_else(|| panic!("lazy_arc {name} changed type"))
    }
}
