"""Assign and Output see a state's variables as they were when the state was entered; the new values are there from the next state on
(docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html, "Order of operations in an Assign field").

LocalStack sets them at once, so that an Output reads what the Assign beside it has just written.
"""


def apply() -> None:
    """Keeps what an Assign gives until its state is left."""
    from localstack.services.stepfunctions.asl.component.common.assign.assign_decl import AssignDecl
    from localstack.services.stepfunctions.asl.component.state.state import CommonStateField

    def _eval_body(self, env) -> None:
        declared: dict[str, object] = {}
        for binding in self.declaration_bindings:
            binding.eval(env=env)
            declared.update(env.stack.pop())
        # A catcher's Assign takes the place of the one of the state that failed.
        env.assigned = declared

    leave = CommonStateField._get_state_exited_event_details

    def _get_state_exited_event_details(self, env):
        for name, value in getattr(env, "assigned", {}).items():
            env.variable_store.set(variable_identifier=name, variable_value=value)
        env.assigned = {}
        return leave(self, env)

    AssignDecl._eval_body = _eval_body
    CommonStateField._get_state_exited_event_details = _get_state_exited_event_details
