"""What both doors share: guards in front of every route, problem answers, strict JSON and limits."""
