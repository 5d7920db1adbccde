// CancelState: one node of the tree behind Context. Private to src/fiber. Loop thread only.
//
//   parent <- child <- child      a child keeps its parent alive; a parent knows its children to
//   cancel them
#pragma once

#include <memory>
#include <vector>

#include "fiber/wait_list.h"

namespace tare::fiber {

class CancelState {
 public:
  explicit CancelState(std::shared_ptr<CancelState> parent);
  ~CancelState();
  CancelState(const CancelState&) = delete;
  CancelState& operator=(const CancelState&) = delete;

  bool cancelled() const { return cancelled_; }
  void cancel();
  WaitList& waiting() { return waiting_; }

 private:
  std::shared_ptr<CancelState> parent_;
  CancelState* first_child_ = nullptr;
  CancelState* next_sibling_ = nullptr;
  CancelState* previous_sibling_ = nullptr;
  WaitList waiting_;
  bool cancelled_ = false;
};

}  // namespace tare::fiber
